import type { LoadPhase, Plan } from '../plan.ts';
import { readVitals } from '../vitals.ts';
import { Ledger } from './ledger.ts';
import type { LoadCommand, LoadEvent, Outcomes, PhaseTotals } from './messages.ts';
import { latencies, noCounts, percentiles, record, Tally } from './tally.ts';
import { UserConnection } from './user-connection.ts';
import { type Settled, VirtualUsers } from './virtual-users.ts';

const TICK_MS = 4;
const CONNECT_EVERY_MS = 20;
const CONNECT_AT_ONCE = 40;
/** How long answers and connections may take after the last request. */
const DRAIN_MS = 30_000;
/** More are counted and not kept. */
const MAX_GARBLED = 20;

/** Obeys the commands of one run. */
export class Generator {
  readonly #tell: (event: LoadEvent) => void;
  readonly #ledger = new Ledger();
  readonly #tallies = new Map<LoadPhase, Tally>();
  readonly #latency = latencies();
  readonly #connections: UserConnection[] = [];
  readonly #garbled: { count: number; readonly examples: string[] } = { count: 0, examples: [] };
  #outcomes: [Counts, Counts, Counts] = [noCounts(), noCounts(), noCounts()];
  #phase: LoadPhase | 'connect' | 'drain' = 'connect';
  #factor = 1;
  #virtualUsers: VirtualUsers | undefined;
  #open = 0;
  #cpu = process.cpuUsage();
  #cpuAt = performance.now();

  constructor(tell: (event: LoadEvent) => void) {
    this.#tell = tell;
  }

  obey(command: LoadCommand, plan: Plan | undefined): void {
    if (command.kind === 'connect') void this.#connect(command.plan, command.ports);
    else if (command.kind === 'drain') void this.#drain();
    else if (command.kind === 'pause') void this.#pause();
    else if (command.kind === 'vitals') this.#tell({ kind: 'vitals', ...readVitals() });
    else if (plan !== undefined) this.#enter(plan, command.phase, command.factor);
  }

  async #connect({ profile }: Plan, ports: readonly number[]): Promise<void> {
    setInterval(() => this.#tellSecond(), 1_000);
    const portFor = balancer(ports);
    const listener = {
      opened: (user: number) => {
        this.#open += 1;
        this.#virtualUsers?.isFree(user);
      },
      answered: (user: number, status: number) => this.#virtualUsers?.answered(user, status),
      garbled: (user: number, what: string) => {
        this.#garbled.count += 1;
        if (this.#garbled.examples.length < MAX_GARBLED) this.#garbled.examples.push(`user ${user}: ${what}`);
      },
      dropped: (user: number) => {
        this.#open -= 1;
        this.#virtualUsers?.dropped(user);
      },
    };
    for (let user = 0; user < profile.users; user += 1) {
      const connection = new UserConnection({ user, listener, portFor });
      this.#connections.push(connection);
      connection.connect();
      if (user % CONNECT_AT_ONCE === CONNECT_AT_ONCE - 1) await pause(CONNECT_EVERY_MS);
    }
    while (this.#open < profile.users) await pause(CONNECT_EVERY_MS);
    this.#tell({ kind: 'connected' });
  }

  #enter(plan: Plan, phase: LoadPhase, factor: number): void {
    const now = performance.now();
    if (this.#virtualUsers === undefined) {
      const wire = {
        isOpen: (user: number) => this.#connections[user]?.isOpen === true,
        send: (user: number, text: string) => this.#connections[user]?.send(text),
      };
      const onSettled = (settled: Settled): void => this.#settled(settled);
      const virtualUsers = new VirtualUsers({ plan, ledger: this.#ledger, wire, onSettled }, now);
      this.#virtualUsers = virtualUsers;
      setInterval(() => virtualUsers.tick(performance.now()), TICK_MS);
    }
    this.#phase = phase;
    this.#factor = factor;
    this.#virtualUsers.setPhase(now, phase, factor);
  }

  #settled(settled: Settled): void {
    const { kind, phase, outcome, sinceIntendedMs } = settled;
    let tally = this.#tallies.get(phase);
    if (tally === undefined) this.#tallies.set(phase, (tally = new Tally()));
    tally.add(settled);
    this.#outcomes[kind][outcome] += 1;
    if (outcome !== 'lost') record(this.#latency, sinceIntendedMs);
  }

  #tellSecond(): void {
    const now = performance.now();
    const { user, system } = process.cpuUsage(this.#cpu);
    const cpu = (user + system) / 1_000 / (now - this.#cpuAt);
    this.#cpu = process.cpuUsage();
    this.#cpuAt = now;
    this.#tell({
      kind: 'second',
      second: {
        atMs: Date.now(),
        phase: this.#phase,
        factor: this.#factor,
        connections: this.#open,
        offered: this.#virtualUsers?.takeOffered() ?? 0,
        overdue: this.#virtualUsers?.overdue ?? 0,
        outcomes: this.#outcomes,
        latency: percentiles(this.#latency),
        cpu,
      },
    });
    this.#outcomes = [noCounts(), noCounts(), noCounts()];
    this.#latency.reset();
  }

  async #pause(): Promise<void> {
    await this.#settle();
    this.#tell({ kind: 'paused' });
  }

  /** Stops sending; waits for answers and connections. */
  async #settle(): Promise<void> {
    this.#virtualUsers?.stop();
    const end = performance.now() + DRAIN_MS;
    const users = this.#connections.length;
    const isSettled = (): boolean => this.#virtualUsers?.busy === 0 && this.#open === users;
    while (!isSettled() && performance.now() < end) await pause(CONNECT_EVERY_MS);
  }

  async #drain(): Promise<void> {
    this.#phase = 'drain';
    await this.#settle();
    const connections = this.#open;
    for (const [user, connection] of this.#connections.entries()) {
      this.#virtualUsers?.dropped(user);
      connection.close();
    }
    const phases = [...this.#tallies].map(([phase, tally]): PhaseTotals => tally.totals(phase));
    this.#tell({ kind: 'report', ledger: this.#ledger.report(), phases, connections, garbled: this.#garbled });
  }
}

/** So many attempts, and with them two seconds, a user waits for the process that its balancer has chosen. */
const STICKY_ATTEMPTS = 20;

/**
 * Spreads users over the processes. Half of them go to any process, as with most load balancers; the others return to
 * their own process, as with one that hashes the user, unless that process is down.
 */
function balancer(ports: readonly number[]): (user: number, attempt: number) => number {
  return (user, attempt) => {
    const isSticky = Math.floor(user / ports.length) % 2 === 0;
    const step = isSticky ? Math.floor(attempt / STICKY_ATTEMPTS) : attempt;
    return ports[(user + step) % ports.length] ?? 0;
  };
}

type Counts = { -readonly [Name in keyof Outcomes]: number };

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/* The load generator, a process of its own: told what to do, and telling what happened, by its parent's channel. */

const tell = (event: LoadEvent): void => void process.send?.(event);
const generator = new Generator(tell);
let plan: Plan | undefined;

process.on('message', (command: LoadCommand) => {
  if (command.kind === 'connect') plan = command.plan;
  generator.obey(command, plan);
});
// The parent is gone: there is nowhere to report to.
process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole group; the parent ends us when it has what it wants.
process.on('SIGINT', () => undefined);
tell({ kind: 'ready' });
