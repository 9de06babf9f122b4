import type { AppEvent, AppQuestion, HeardState } from './app/messages.ts';
import type { LoadCommand, LoadEvent } from './load/messages.ts';
import type { Plan } from './plan.ts';
import { type Child, startChild } from './processes/child.ts';
import type { ProviderCommand, ProviderEvent } from './provider/messages.ts';
import type { Stack } from './stack.ts';
import type { WorkerEvent, WorkerQuestion } from './worker/messages.ts';

/** One API process. */
export type ApiProcess = Child<AppQuestion, AppEvent>;
/** One worker. */
export type WorkerProcess = Child<WorkerQuestion, WorkerEvent>;
/** The load generator. */
export type LoadProcess = Child<LoadCommand, LoadEvent>;

/** All processes but the servers. */
export interface Fleet {
  readonly apis: ApiProcess[];
  readonly workers: WorkerProcess[];
  readonly provider: Child<ProviderCommand, ProviderEvent>;
  readonly load: LoadProcess;
  readonly ports: readonly number[];
  /** Kills an API process (kill -9) and starts another in its place, as a supervisor would. */
  replaceApi(index: number): Promise<void>;
  replaceWorker(index: number): Promise<void>;
  stop(): Promise<void>;
}

/** `main.ts` from source, `main.js` when built. */
const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

function entry(folder: string): URL {
  return new URL(`./${folder}/main.${extension}`, import.meta.url);
}

/** What {@link startFleet} works with. */
export interface FleetOptions {
  readonly plan: Plan;
  readonly stack: Stack;
  /** Told of the breaker's state after each transition, by every process. */
  readonly onBreaker: (heard: HeardState) => void;
}

/** Starts everything that has to be there before users come. */
export async function startFleet({ plan, stack, onBreaker }: FleetOptions): Promise<Fleet> {
  const { redis, pgbouncer } = stack;
  const all: { stop(): Promise<void> }[] = [];
  const kept = <Process extends { stop(): Promise<void> }>(process: Process): Process => {
    all.push(process);
    return process;
  };
  const stop = async (): Promise<void> => void (await Promise.all(all.map((process) => process.stop())));
  const servers = { REDIS_URL: redis.url, DATABASE_URL: pgbouncer.url, DATABASE_SERVER: 'pgbouncer' };
  const env = { ...servers, LOG_LEVEL: 'warn', NODE_ENV: 'production', BREAKER_OPEN_MS: String(plan.breakerOpenMs) };
  try {
    const provider = kept(
      startChild<ProviderCommand, ProviderEvent>({
        name: 'provider',
        entry: entry('provider'),
        args: [String(plan.providerMs)],
      }),
    );
    const providerUrl = `http://127.0.0.1:${await provider.next(portOf)}`;
    const { startApi, startWorker } = starters({ env: { ...env, PROVIDER_URL: providerUrl }, kept, onBreaker });
    const apis = Array.from({ length: plan.apiProcesses }, (_, index) => startApi(index, 0));
    const workers = Array.from({ length: plan.workers }, (_, index) => startWorker(index));
    const load = kept(startChild<LoadCommand, LoadEvent>({ name: 'load generator', entry: entry('load') }));
    const ready = load.next((event) => (event.kind === 'ready' ? true : undefined));
    const ports = await Promise.all(apis.map((api) => api.next(portOf)));
    await ready;
    return {
      apis,
      workers,
      provider,
      load,
      ports,
      replaceApi: async (index) => {
        await apis[index]?.kill();
        const next = startApi(index, ports[index] ?? 0);
        apis[index] = next;
        await next.next(portOf);
      },
      replaceWorker: async (index) => {
        await workers[index]?.kill();
        workers[index] = startWorker(index);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function portOf(event: AppEvent | ProviderEvent): number | undefined {
  return event.kind === 'listening' ? event.port : undefined;
}

interface StartersOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly kept: <Process extends { stop(): Promise<void> }>(process: Process) => Process;
  readonly onBreaker: (heard: HeardState) => void;
}

interface Starters {
  readonly startApi: (index: number, port: number) => ApiProcess;
  readonly startWorker: (index: number) => WorkerProcess;
}

function starters({ env, kept, onBreaker }: StartersOptions): Starters {
  return {
    startApi: (index, port) => {
      const name = `api ${index + 1}`;
      const api = kept(
        startChild<AppQuestion, AppEvent>({ name, entry: entry('app'), env: { ...env, PORT: String(port) } }),
      );
      api.listen((event) => {
        if (event.kind === 'breaker') onBreaker(event.heard);
      });
      return api;
    },
    startWorker: (index) => kept(startChild({ name: `worker ${index + 1}`, entry: entry('worker'), env })),
  };
}
