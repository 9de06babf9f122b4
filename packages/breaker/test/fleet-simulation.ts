import { Engine } from '../src/engine/engine.ts';
import { Poller } from '../src/engine/poller.ts';
import type { Runtime } from '../src/engine/types.ts';
import type { BreakerRecord, Command, Reply, View } from '../src/machine/record.ts';
import { step } from '../src/machine/step.ts';
import {
  type Announcement,
  type BreakerStore,
  type Known,
  type PollAnswer,
  StoreUnavailableError,
} from '../src/store/store.ts';
import { deployments, type Instance, type SimulationReport, StoreWitness } from './simulation-parts.ts';
import { quiet, random, VirtualTime } from './virtual-fleet.ts';

const T0 = 1_800_000_000_000;
const DEADLINE_MS = 100;
const CHAOS_MS = 6_000;
/** Twice the longest opening, the time that three dead probers take, a poll, and the alert's end. */
const CALM_MS = 9_000;
/** What a sole caller's failures may take to open the fleet: those of others are forgotten after 10 s, and two polls. */
const SOLE_MS = 14_000;
/** So long a time is lived through in one schedule of so many. */
const SOLE_EVERY = 4;
const id = { preset: 'simulated', name: 'dependency' };

/**
 * A fleet on virtual time: real engines over the real machine, with a network that delays, loses and doubles messages,
 * processes that die and are born, clocks that start anywhere and drift, and a store that stops, is emptied, falls back to
 * an older state, and whose clock jumps by up to 5 s. Everything follows from the seed.
 */
export class FleetSimulation {
  private readonly seed: number;
  private readonly dice: () => number;
  private readonly time = new VirtualTime();
  private readonly instances: Instance[] = [];
  private readonly violations: string[] = [];
  private readonly kinds = new Set<string>();
  private record: BreakerRecord | undefined;
  private readonly history: (BreakerRecord | undefined)[] = [];
  /** States that the store went through of late. */
  private path: string[] = [];
  private readonly witness = new StoreWitness({
    violation: (what) => void this.violations.push(`at ${this.time.nowMs.toFixed(1)}: ${what}`),
    reached: (kind) => void this.kinds.add(kind),
  });
  private storeIsUp = true;
  /** What probes brought doesn't reach the store. */
  private settlesAreLost = false;
  private storeSkewMs = 0;
  private dependencyIsUp = true;
  private isChaotic = true;
  private born = 0;
  private calls = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.dice = random(seed);
  }

  /** Lives through the schedule, and through a calm afterwards in which all must come to agree. */
  async run(): Promise<SimulationReport> {
    const size = 2 + Math.floor(this.dice() * 3);
    for (let index = 0; index < size; index += 1) this.bear();
    for (let at = 0; at < CHAOS_MS; at += 100 + this.dice() * 500) this.time.after(at, () => this.strike());
    await this.time.advanceTo(CHAOS_MS);
    this.calm();
    await this.time.advanceTo(CHAOS_MS + CALM_MS);
    this.checkAgreement();
    if (this.seed % SOLE_EVERY === 0) await this.leaveAlone();
    for (const { engine } of this.instances) engine.member.stop();
    return { violations: this.violations, kinds: this.kinds, calls: this.calls };
  }

  /** All but the first die, silently, and the dependency fails it. */
  private async leaveAlone(): Promise<void> {
    const [sole, ...others] = this.instances;
    this.path = [];
    for (const other of others) other.alive = false;
    if (sole !== undefined) sole.pathIsBroken = true;
    await this.time.advanceTo(CHAOS_MS + CALM_MS + SOLE_MS);
    if (!this.path.includes('open')) this.violations.push('the fleet never opened for its sole caller');
  }

  private get living(): Instance[] {
    return this.instances.filter(({ alive }) => alive);
  }

  private bear(): void {
    this.born += 1;
    const name = `i${this.born}`;
    const offsetMs = this.dice() * 1e7;
    const drift = 1 + (this.dice() - 0.5) / 500;
    const preset = (this.isChaotic && this.pick(deployments)) || deployments[0];
    const runtime: Runtime = {
      now: () => offsetMs + this.time.nowMs * drift,
      random: this.dice,
      after: (delayMs, work) => this.time.after(delayMs / drift, () => instance.alive && work()),
    };
    const store: BreakerStore = {
      execute: (_, command) => this.send(command).finally(() => (instance.isTold = true)),
      poll: (known) => this.answerPoll(known).finally(() => (instance.isTold = true)),
      listen: () => ({ isLive: true, close: () => undefined }),
      close: async () => undefined,
    };
    const stale = (isStale: boolean): void => void (isStale && poller.pollSoon());
    const engine = new Engine({
      id,
      preset,
      store,
      runtime,
      instance: name,
      events: { ...quiet, stale },
    });
    const poller = new Poller({ store, runtime, members: () => [engine.member] });
    const instance: Instance = {
      name,
      engine,
      alive: true,
      pathIsBroken: false,
      hears: true,
      lastEpoch: 0,
      isTold: false,
    };
    this.instances.push(instance);
    // Some only listen: they learn of nothing by answers to reports.
    if (this.born === 1 || this.dice() < 0.8) this.callOn(instance);
  }

  /** Something bad happens, or something bad ends. */
  private strike(): void {
    const victim = this.pick(this.living);
    const strikes: (() => void)[] = [
      () => (this.dependencyIsUp = !this.dependencyIsUp),
      () => (this.dependencyIsUp = !this.dependencyIsUp),
      () => victim && (victim.pathIsBroken = !victim.pathIsBroken),
      () => victim && (victim.hears = !victim.hears),
      () => this.kill(victim),
      () => this.bear(),
      () => (this.storeIsUp = !this.storeIsUp),
      () => (this.settlesAreLost = !this.settlesAreLost),
      () => this.restart('emptied'),
      () => this.restart('older'),
      () => (this.storeSkewMs += (this.dice() - 0.5) * 10_000),
      () => this.move(victim),
    ];
    this.pick(strikes)?.();
  }

  private kill(victim: Instance | undefined): void {
    // The first stays, for without calls nobody probes.
    if (victim === undefined || victim === this.instances[0]) return;
    victim.alive = false;
  }

  private restart(how: 'emptied' | 'older'): void {
    this.kinds.add(how);
    this.record = how === 'emptied' ? undefined : this.history.at(-1 - Math.floor(this.dice() * 20));
    this.witness.forget();
  }

  private move(victim: Instance | undefined): void {
    if (victim === undefined) return;
    const target = this.dice() < 0.5 ? 'forced_open' : 'forced_closed';
    const forced = { type: 'force', target, forMs: 200 + Math.floor(this.dice() * 800), who: 'ada', why: '' } as const;
    const action = this.dice() < 0.3 ? ({ type: 'reset', who: 'ada', why: '' } as const) : forced;
    void victim.engine.member.command(action).catch(() => undefined);
  }

  /** An instance that receives no announcements never will: polling must be enough. */
  private calm(): void {
    this.isChaotic = false;
    this.dependencyIsUp = true;
    this.storeIsUp = true;
    this.settlesAreLost = false;
    for (const instance of this.instances) {
      instance.pathIsBroken = false;
    }
  }

  private callOn(instance: Instance): void {
    this.time.after(20 + this.dice() * 200, () => {
      if (!instance.alive) return;
      this.calls += 1;
      void instance.engine.run(() => this.work(instance), undefined).catch(() => undefined);
      this.checkEpoch(instance);
      this.callOn(instance);
    });
  }

  /** The dependency does its work, or fails. */
  private work(instance: Instance): Promise<void> {
    const { stateName } = instance.engine;
    this.kinds.add(stateName);
    if (!instance.isTold) this.violations.push(`${instance.name}: a call passed before the fleet's state was known`);
    if (stateName === 'forced_open') this.violations.push(`${instance.name}: a call passed while forced open`);
    return new Promise((resolve, reject) => {
      this.time.after(this.dice() * 60, () => {
        if (this.dependencyIsUp && !instance.pathIsBroken) resolve();
        else reject(new Error('down'));
      });
    });
  }

  /** As {@link send}: a poll of a store that goes by what it has now. */
  private async answerPoll<K extends Known>(known: readonly K[]): Promise<PollAnswer<K>> {
    const lost = { changed: [], unreachable: known };
    if (!this.storeIsUp) return lost;
    return new Promise((resolve) => {
      this.time.after(DEADLINE_MS, () => resolve(lost));
      if (this.happens(0.05)) return;
      this.time.after(this.delay(), () => {
        if (!this.storeIsUp) return;
        const changed = known.filter(({ view }) => this.record?.epoch !== view.epoch);
        if (!this.happens(0.05)) this.time.after(this.delay(), () => resolve({ changed, unreachable: [] }));
      });
    });
  }

  /** A command on its way to the store and its answer on the way back, both as the network likes. */
  private send(command: Command): Promise<Reply> {
    if (!this.storeIsUp) return Promise.reject(new StoreUnavailableError('it is away', false));
    const isLost = command.action.type === 'settle' && this.settlesAreLost;
    return new Promise((resolve, reject) => {
      this.time.after(DEADLINE_MS, () => reject(new StoreUnavailableError('no answer', true)));
      const times = this.happens(0.03) ? 2 : 1;
      for (let copy = 0; copy < times; copy += 1) {
        if (isLost || this.happens(0.05)) continue;
        this.time.after(this.delay(), () => {
          if (!this.storeIsUp) return;
          const reply = this.carryOut(command);
          if (!this.happens(0.05)) this.time.after(this.delay(), () => resolve(reply));
        });
      }
    });
  }

  private carryOut(command: Command): Reply {
    const before = this.record;
    const nowMs = Math.floor(T0 + this.time.nowMs + this.storeSkewMs);
    const { record, reply, publish } = step(before, command, nowMs);
    if (record === undefined) return reply;
    this.witness.saw({ before, command, after: record, reply, nowMs });
    this.record = record;
    this.history.push(record);
    this.path.push(record.state.kind);
    if (publish) this.announce({ ...id, view: reply.view });
    return reply;
  }

  private announce({ view }: Announcement): void {
    for (const instance of this.living) {
      if (!instance.hears || this.happens(0.1)) continue;
      const times = this.happens(0.05) ? 2 : 1;
      for (let copy = 0; copy < times; copy += 1) {
        this.time.after(this.delay(), () => this.hear(instance, view));
      }
    }
  }

  private hear(instance: Instance, view: View): void {
    if (!instance.alive || !instance.hears) return;
    instance.isTold = true;
    instance.engine.member.applyView(view);
  }

  private checkEpoch(instance: Instance): void {
    const { epoch } = instance.engine.member.view;
    if (epoch < instance.lastEpoch)
      this.violations.push(`${instance.name} went back from ${instance.lastEpoch} to ${epoch}`);
    instance.lastEpoch = epoch;
  }

  private checkAgreement(): void {
    const seen = this.living.map(({ engine }) => `${engine.member.view.epoch} ${engine.stateName}`);
    if (new Set(seen).size > 1) this.violations.push(`no agreement: ${seen.join(', ')}`);
    for (const { name, engine } of this.living) {
      if (engine.member.isStale) this.violations.push(`${name} is stale still`);
      if (engine.stateName !== 'closed') this.violations.push(`${name} is stuck in ${engine.stateName}`);
    }
  }

  private delay(): number {
    return this.isChaotic && this.dice() < 0.05 ? this.dice() * 150 : 0.2 + this.dice() * 5;
  }

  private happens(share: number): boolean {
    return this.isChaotic && this.dice() < share;
  }

  private pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.dice() * from.length)];
  }
}
