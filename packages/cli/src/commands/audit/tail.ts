import { setTimeout as delay } from 'node:timers/promises';
import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import type { CliContext } from '../../cli-context.ts';
import { type TrailEvent, TrailTail } from './trail-tail.ts';
import { printable } from '../../output.ts';
import { withPool } from '../../with-pool.ts';

/** `spillway audit tail`. */
export function tailCommand(context: CliContext): Command<[], { since: number; interval: number }> {
  const { output, signal } = context;
  return new Command('tail')
    .description('show blocks and breaker events as they arrive, until Ctrl-C')
    .option('--since <seconds>', 'begin with those of the last seconds', whole, 0)
    .option('--interval <ms>', 'time between two looks', whole, 500)
    .addHelpText('after', '\nNeeds DATABASE_URL. With --json each event is a line.')
    .action(async ({ since, interval }) =>
      withPool(context, async (pool) => {
        const tail = new TrailTail(pool, since * 1_000);
        while (!signal.aborted) {
          for (const event of await tail.next()) output.result(event, line(event));
          await delay(interval, null, { signal }).catch(() => null);
        }
      }),
    );
}

function line({ at, kind, subject, what, detail }: TrailEvent): string {
  return [at.toISOString(), kind, subject, what, detail].map(printable).join('  ');
}

function whole(value: string): number {
  if (!/^\d{1,9}$/u.test(value)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(value);
}
