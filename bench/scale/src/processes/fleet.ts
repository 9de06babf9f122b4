import { findFreePort } from '@spillway/local-servers';
import type { LoadCommand, LoadEvent } from '../load/messages.ts';
import { DECISION_DEADLINE_MS, type Plan } from '../plan.ts';
import type { Stack } from '../stack.ts';
import type { Vitals } from '../vitals.ts';
import { type Child, type ChildError, startChild } from './child.ts';

/** One application process. */
export type AppProcess = Child<AppQuestion, AppEvent>;
/** A worker, or Spillway's API. */
export type ProgramProcess = Child<ProgramQuestion, ProgramEvent>;
/** The load generator. */
export type LoadProcess = Child<LoadCommand, LoadEvent>;

/** All processes but the servers. */
export interface Fleet {
  readonly apps: AppProcess[];
  readonly workers: ProgramProcess[];
  /** Spillway's API: each second application process decides and breaks circuits through it. */
  readonly api: ProgramProcess;
  readonly provider: Child<ProviderCommand, ProviderEvent>;
  readonly load: LoadProcess;
  readonly ports: readonly number[];
  /** Kills an application process (kill -9) and starts another in its place, as a supervisor would. */
  replaceApp(index: number): Promise<void>;
  replaceWorker(index: number): Promise<void>;
  /** Kills all of them: what they knew has been verified by then, or is no longer needed. */
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
  /** Called when a process ended that the run did not end. */
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
  const { pgbouncer } = stack;
  const { kept, stop } = keepAll(signal);
  const servers = { REDIS_URL: stack.redisUrl, DATABASE_URL: pgbouncer.url, DATABASE_SERVER: 'pgbouncer' };
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
    const apiPort = await findFreePort();
    const providerUrl = `http://127.0.0.1:${await provider.next(portOf)}`;
    const { startApp, startProgram } = starters({
      env: { ...env, PROVIDER_URL: providerUrl },
      edge: { SPILLWAY_URL: `http://127.0.0.1:${apiPort}`, SPILLWAY_KEY: stack.apiKey },
      kept,
      onBreaker,
      onDeath,
    });
    const api = startProgram('api', '@spillway/api', {
      PORT: String(apiPort),
      // Few processes stand for a fleet here: they may report as often as they like.
      SPILLWAY_API_REQUESTS_PER_MINUTE: '0',
      // As the application's own: a decision that is made without Redis can't be checked.
      SPILLWAY_API_DEADLINE_MS: String(DECISION_DEADLINE_MS),
    });
    const startWorker = (index: number): ProgramProcess =>
      // The ledger wants a row for every block.
      startProgram(`worker ${index + 1}`, '@spillway/worker', { SPILLWAY_BLOCK_ROWS_PER_MINUTE: '0' });
    const apps = Array.from({ length: plan.appProcesses }, (_, index) => startApp(index, 0));
    const workers = Array.from({ length: plan.workers }, (_, index) => startWorker(index));
    const load = startLoad(kept, onDeath);
    const ready = load.next((event) => (event.kind === 'ready' ? true : undefined));
    const started = api.next(({ kind }) => (kind === 'started' ? true : undefined));
    const [ports] = await Promise.all([Promise.all(apps.map((app) => app.next(portOf))), ready, started]);
    return {
      apps,
      workers,
      api,
      provider,
      load,
      ports,
      replaceApp: async (index) => {
        await apps[index]?.kill();
        const next = startApp(index, ports[index] ?? 0);
        apps[index] = next;
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

function startLoad(kept: StartersOptions['kept'], onDeath: FleetOptions['onDeath']): LoadProcess {
  return kept(
    startChild<LoadCommand, LoadEvent>({
      name: 'load generator',
      entry: entry('../load/generator'),
      nodeArgs: [`--max-old-space-size=${LOAD_HEAP_MB}`],
      onDeath,
    }),
  );
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
  /** Of the processes that reach Spillway over HTTP. */
  readonly edge: Readonly<Record<string, string>>;
  readonly kept: <Process extends Killable>(process: Process) => Process;
}

interface Starters {
  readonly startApp: (index: number, port: number) => AppProcess;
  readonly startProgram: (name: string, program: string, env: Readonly<Record<string, string>>) => ProgramProcess;
}

function starters({ env, edge, kept, onBreaker, onDeath }: StartersOptions): Starters {
  return {
    startApp: (index, port) => {
      const name = `app ${index + 1}`;
      const own = { ...env, ...(index % 2 === 1 ? edge : {}), PORT: String(port) };
      const app = kept(startChild<AppQuestion, AppEvent>({ name, entry: entry('app'), env: own, onDeath }));
      app.listen((event) => {
        if (event.kind === 'breaker') onBreaker(event.heard);
      });
      return app;
    },
    startProgram: (name, program, own) =>
      kept(startChild({ name, entry: entry('program'), args: [program], env: { ...env, ...own }, onDeath })),
  };
}

/** A state of the fleet's breaker, as a process heard of it. */
export interface HeardState {
  readonly state: string;
  /** The breaker's: another one after every transition. */
  readonly epoch: number;
}

/** What an application process is asked. */
export type AppQuestion = { readonly kind: 'vitals' };

/** What it answers, and that it listens. */
export type AppEvent =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'breaker'; readonly heard: HeardState }
  | (Vitals & {
      readonly kind: 'vitals';
      /** Decisions that were made without Redis, since the start. */
      readonly decidedWithoutRedis: number;
      /** Audit events that found the outbox full, since the start. */
      readonly droppedEvents: number;
      /** Requests to Spillway's API, since the start. */
      readonly apiTrips: number;
      /** What this process knows of the fleet's breaker. */
      readonly breaker: HeardState;
    });

/** What the provider is told: whether to do its work. */
export type ProviderCommand = { readonly kind: 'fail' } | { readonly kind: 'heal' };

/** What it tells. */
export type ProviderEvent = { readonly kind: 'listening'; readonly port: number };

/** What the program of a package is asked. */
export type ProgramQuestion = { readonly kind: 'vitals' };

/** What it answers, and that it has started. */
export type ProgramEvent = (Vitals & { readonly kind: 'vitals' }) | { readonly kind: 'started' };
