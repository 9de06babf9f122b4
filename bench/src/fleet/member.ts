import { fork } from 'node:child_process';
import { on } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Order, Standing, Watch } from './instance.ts';

/** Processes that watch; one more makes the changes. */
export const PROCESSES = 8;

/** One of them. */
export interface Member {
  watch(order: Watch): Promise<void>;
  /** When it acted upon what it watches. */
  seen(): Promise<number>;
  /** From now on it looks at these breakers all the time. */
  follow(names: readonly string[]): Promise<void>;
  standing(): Promise<Standing>;
  stop(): void;
}

/** Starts them all. */
export async function startMembers(url: string): Promise<readonly Member[]> {
  return Promise.all(Array.from({ length: PROCESSES }, () => startMember(url)));
}

async function startMember(url: string): Promise<Member> {
  const program = fileURLToPath(new URL('fleet-process.ts', import.meta.url));
  const child = fork(program, [url], { execArgv: ['--conditions=@spillway/source', '--import', 'tsx'] });
  const messages = on(child, 'message');
  const next = async (): Promise<unknown> => {
    const { value } = await messages.next();
    return value[0];
  };
  const obey = async (order: Order): Promise<unknown> => {
    child.send(order);
    return next();
  };
  await next();
  return {
    watch: async (order) => void (await obey(order)),
    seen: async () => Number(await next()),
    follow: async (names) => void (await obey({ kind: 'follow', names })),
    async standing() {
      const told = await obey({ kind: 'tell' });
      if (!isStanding(told)) throw new Error('a process answered something else than it was asked');
      return told;
    },
    stop: () => child.disconnect(),
  };
}

function isStanding(value: unknown): value is Standing {
  return typeof value === 'object' && value !== null && 'text' in value && 'changedAt' in value;
}
