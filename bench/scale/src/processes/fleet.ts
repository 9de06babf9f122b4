import type { LoadCommand, LoadEvent } from '../load/messages.ts';
import type { Plan } from '../plan.ts';
import type { Stack } from '../stack.ts';
import { type Child, type ChildError, startChild } from './child.ts';

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
  /** Kills all of them: what they knew has been verified by then, or nobody wants to know. */
  stop(): Promise<void>;
}

/** From source, or as built. */
const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

function entry(name: string): URL {
  return new URL(`./${name}.${extension}`, import.meta.url);
}

/** What {@link startFleet} works with. */
export interface FleetOptions {
  readonly plan: Plan;
  readonly stack: Stack;
  /** Told of the breaker's state after each transition, by every process. */
  readonly onBreaker: (heard: HeardState) => void;
  /** Told of a process that ended by itself, or by anybody else. */
  readonly onDeath: (death: ChildError) => void;
  /** Aborted, it kills all that was started, and whatever would be started yet. */
  readonly signal: AbortSignal;
}

/**
 * The most that the load generator's heap may take, in MB. It is flat at a fraction of this; a leak is to end the run with a
 * word, and not to take the machine's memory first.
 */
const LOAD_HEAP_MB = 1_024;

/** Starts everything that has to be there before users come. */
export async function startFleet({ plan, stack, onBreaker, onDeath, signal }: FleetOptions): Promise<Fleet> {
  const { redis, pgbouncer } = stack;
  const { kept, stop } = keepAll(signal);
  const servers = { REDIS_URL: redis.url, DATABASE_URL: pgbouncer.url, DATABASE_SERVER: 'pgbouncer' };
  const env = { ...servers, LOG_LEVEL: 'warn', NODE_ENV: 'production', BREAKER_OPEN_MS: String(plan.breakerOpenMs) };
  try {
    const provider = kept(
      startChild<ProviderCommand, ProviderEvent>({
        name: 'provider',
        entry: entry('provider'),
        args: [String(plan.providerMs)],
        onDeath,
      }),
    );
    const providerUrl = `http://127.0.0.1:${await provider.next(portOf)}`;
    const { startApi, startWorker } = starters({
      env: { ...env, PROVIDER_URL: providerUrl },
      kept,
      onBreaker,
      onDeath,
    });
    const apis = Array.from({ length: plan.apiProcesses }, (_, index) => startApi(index, 0));
    const workers = Array.from({ length: plan.workers }, (_, index) => startWorker(index));
    const load = kept(
      startChild<LoadCommand, LoadEvent>({
        name: 'load generator',
        entry: entry('../load/generator'),
        nodeArgs: [`--max-old-space-size=${LOAD_HEAP_MB}`],
        onDeath,
      }),
    );
    const ready = load.next((event) => (event.kind === 'ready' ? true : undefined));
    const [ports] = await Promise.all([Promise.all(apis.map((api) => api.next(portOf))), ready]);
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

interface Killable {
  kill(): Promise<void>;
}

interface Kept {
  readonly kept: StartersOptions['kept'];
  stop(): Promise<void>;
}

/** Remembers processes, and kills them when told or when the signal says so. */
function keepAll(signal: AbortSignal): Kept {
  const all: Killable[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(all.map((process) => process.kill())));
  signal.addEventListener('abort', () => void stop(), { once: true });
  return {
    kept: (process) => {
      all.push(process);
      if (signal.aborted) void process.kill();
      return process;
    },
    stop,
  };
}

interface StartersOptions extends Pick<FleetOptions, 'onBreaker' | 'onDeath'> {
  readonly env: Readonly<Record<string, string>>;
  readonly kept: <Process extends Killable>(process: Process) => Process;
}

interface Starters {
  readonly startApi: (index: number, port: number) => ApiProcess;
  readonly startWorker: (index: number) => WorkerProcess;
}

function starters({ env, kept, onBreaker, onDeath }: StartersOptions): Starters {
  // The ledger wants a row for every block.
  const workerEnv = { ...env, SPILLWAY_BLOCK_ROWS_PER_MINUTE: '0' };
  return {
    startApi: (index, port) => {
      const name = `api ${index + 1}`;
      const api = kept(
        startChild<AppQuestion, AppEvent>({ name, entry: entry('app'), env: { ...env, PORT: String(port) }, onDeath }),
      );
      api.listen((event) => {
        if (event.kind === 'breaker') onBreaker(event.heard);
      });
      return api;
    },
    startWorker: (index) =>
      kept(startChild({ name: `worker ${index + 1}`, entry: entry('worker'), env: workerEnv, onDeath })),
  };
}

/** A state of the fleet's breaker, as a process heard of it. */
export interface HeardState {
  readonly state: string;
  /** The breaker's: another one after every transition. */
  readonly epoch: number;
}

/** What an API process is asked. */
export type AppQuestion = { readonly kind: 'vitals' };

/** What it answers, and that it listens. */
export type AppEvent =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'breaker'; readonly heard: HeardState }
  | {
      readonly kind: 'vitals';
      /** Live bytes of the heap and of buffers, after a garbage collection. */
      readonly liveBytes: number;
      /** Decisions that were made without Redis, since the start. */
      readonly decidedWithoutRedis: number;
      /** Audit events that found the outbox full, since the start. */
      readonly droppedEvents: number;
      /** What this process knows of the fleet's breaker. */
      readonly breaker: HeardState;
    };

/** What the provider is told: whether to do its work. */
export type ProviderCommand = { readonly kind: 'fail' } | { readonly kind: 'heal' };

/** What it tells. */
export type ProviderEvent = { readonly kind: 'listening'; readonly port: number };

/** What a worker is asked. */
export type WorkerQuestion = { readonly kind: 'vitals' };

/** What it answers: live bytes of its heap and of its buffers, after a garbage collection. */
export type WorkerEvent = { readonly kind: 'vitals'; readonly liveBytes: number };
