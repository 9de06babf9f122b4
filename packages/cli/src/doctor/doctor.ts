import { Command } from '@commander-js/extra-typings';
import { type CliContext, exitCodes, table } from '../cli-context.ts';
import { readDatabaseUrl, readTrailRedises } from '../config.ts';
import { type Check, check } from './check.ts';
import { checkPostgres } from './check-postgres.ts';
import { checkRedis } from './check-redis.ts';
import { checkVariables } from './check-variables.ts';

/** Clocks may differ so much, in ms. */
const MAX_SKEW_MS = 1_000;

/** `spillway doctor`. */
export function doctorCommand({ env, output, end }: CliContext): Command {
  return new Command('doctor')
    .description('check variables, Redis, Postgres and the clocks, and print what to change')
    .addHelpText(
      'after',
      '\nNeeds REDIS_URL and DATABASE_URL. Ends with 4 when a check fails; warnings are no failure.',
    )
    .action(async () => {
      const databaseUrl = readDatabaseUrl(env);
      const { trail, queue } = readTrailRedises(env);
      const redises = await Promise.all([...new Set([trail, queue])].map(checkRedis));
      const variables = await checkVariables(env);
      const postgres = await checkPostgres(databaseUrl, variables.tables);
      const checks = [
        ...variables.checks,
        ...redises.flatMap((redis) => redis.checks),
        ...postgres.checks,
        ...skew('this machine to Postgres', postgres.clockMs, 0),
        ...redises.flatMap(({ variable, clockMs }) => skew(`${variable} to Postgres`, postgres.clockMs, clockMs)),
      ];
      output.result({ healthy: !checks.some(failed), checks }, table(checks.map((each) => ({ ...each }))));
      if (checks.some(failed)) end(exitCodes.unhealthy);
    });
}

function failed({ status }: Check): boolean {
  return status === 'fail';
}

function skew(name: string, postgresMs: number | null, otherMs: number | null): Check[] {
  if (postgresMs === null || otherMs === null) return [];
  const ms = Math.round(otherMs - postgresMs);
  const advice = 'Let NTP set the clocks. Limits go by the clock of Redis, schedules by that of Postgres.';
  return [check(`clock of ${name}`, `${ms} ms`, Math.abs(ms) <= MAX_SKEW_MS, { status: 'warn', advice })];
}
