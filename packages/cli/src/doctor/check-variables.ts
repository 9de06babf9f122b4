import { builtInArchives } from '@spillway/db';
import { ConfigError, type Environment } from '@spillway/runtime';
import { readApiVariables } from '@spillway/runtime/api-config';
import { PolicyFileError, readPolicyFile } from '@spillway/runtime/file';
import {
  askServer,
  type MaintainedTable,
  readWorkerConfig,
  readWorkerInside,
  type ServerAddress,
  workerServers,
} from '@spillway/worker';
import { type Check, check, unreachable } from './check.ts';

/** What was found of the variables. */
export interface VariablesFindings {
  readonly checks: readonly Check[];
  /** The tables to archive; the guide's three when their variable is wrong. */
  readonly tables: readonly MaintainedTable[];
}

/**
 * Reads the variables as API and worker do at their start, and connects to Postgres as they would: what is well here lets
 * them start.
 */
export async function checkVariables(env: Environment): Promise<VariablesFindings> {
  const worker = attempt('variables of the worker', () => readWorkerConfig(env));
  const api = attempt('variables of the API', () => readApiVariables(env));
  const inside = attempt('variables of the worker inside the API', () =>
    api.value?.workerInside === true ? readWorkerInside(env, [api.value.port, api.value.metricsPort]) : undefined,
  );
  const servers: Record<string, ServerAddress> = {};
  if (worker.value !== undefined) Object.assign(servers, workerServers(worker.value));
  if (api.value !== undefined) {
    const { databaseReadUrl: url, databaseUrl, databaseServer: kind } = api.value;
    servers['DATABASE_URL'] = { url: databaseUrl, kind };
    if (url !== undefined) servers['DATABASE_READ_URL'] = { url, kind };
  }
  const insideServer = inside.value && workerServers(inside.value)['DATABASE_URL'];
  if (insideServer !== undefined) servers['WORKER_DATABASE_URL'] = insideServer;
  const file = worker.value?.file ?? api.value?.file;
  return {
    checks: [
      worker.check,
      api.check,
      ...(api.value?.workerInside === true ? [inside.check] : []),
      ...(file === undefined ? [] : [await checkFile(file)]),
      ...(await checkConnections(servers)),
    ],
    tables: worker.value?.archiveTables ?? builtInArchives,
  };
}

/** What a reader returns, and the check that says so or why not. */
function attempt<T>(name: string, read: () => T): { readonly check: Check; readonly value: T | undefined } {
  try {
    return { check: check(name, 'read', true, { status: 'fail', advice: '' }), value: read() };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const found = error.message.replaceAll('\n', '; ');
    const advice = 'Set them as docs/operations.md lists them: the program ends at its start.';
    return { check: { check: name, status: 'fail', found, advice }, value: undefined };
  }
}

/** The file that both apply at their start. */
async function checkFile(file: string): Promise<Check> {
  try {
    await readPolicyFile(file);
    return { check: 'SPILLWAY_FILE', status: 'ok', found: 'read', advice: '' };
  } catch (error) {
    if (!(error instanceof PolicyFileError)) throw error;
    return unreachable('SPILLWAY_FILE', error, 'Correct the file: API and worker end at their start.');
  }
}

/** Each URL of Postgres once, the first variable that holds it. Redis is looked at elsewhere. */
async function checkConnections(servers: Readonly<Record<string, ServerAddress>>): Promise<readonly Check[]> {
  const known = new Set<string>();
  const postgres = Object.entries(servers).filter(([, { url, kind }]) => {
    const isNew = kind !== 'redis' && !known.has(`${kind} ${url}`);
    known.add(`${kind} ${url}`);
    return isNew;
  });
  return Promise.all(
    postgres.map(async ([variable, address]) => {
      const name = `${variable} connection`;
      try {
        await askServer(address);
        return { check: name, status: 'ok', found: `as a ${address.kind}`, advice: '' } as const;
      } catch (error) {
        const isPooler = error instanceof Error && error.message.includes('unsupported startup parameter');
        const advice = isPooler
          ? `Set DATABASE_SERVER=pgbouncer, or let ${variable} lead to Postgres itself.`
          : `Start Postgres, or set ${variable} to where it is.`;
        return unreachable(name, error, advice);
      }
    }),
  );
}
