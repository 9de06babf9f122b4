import type { Engine } from '../engine/engine.ts';
import { unknownView } from '../machine/record.ts';
import type { StateName } from '../metrics.ts';
import { machineConfig } from '../presets/machine-config.ts';
import type { Preset } from '../presets/preset.ts';
import { type Announcement, type BreakerId, breakerKey, type BreakerStore } from '../store/store.ts';
import type { Registry } from './registry.ts';

/** A breaker as this process sees it; plain data, fit for JSON. Times are in ms since 1970 by Redis' clock. */
export interface BreakerSnapshot {
  readonly name: string;
  readonly preset: string;
  /** The state that calls of this process meet. */
  readonly state: StateName;
  /** The fleet's state, as last received. It differs if this process refuses by its own counts, or Redis doesn't answer. */
  readonly fleetState: StateName;
  /** Grows with every transition of the fleet's state; 0: not known yet. */
  readonly epoch: number;
  /** Since when the fleet is in its state; null: not known yet. */
  readonly sinceMs: number | null;
  /** How much longer calls are refused, in ms; 0: none is refused, or the end is not known; null: without an end. */
  readonly refusesForMs: number | null;
  /** Openings in a row. */
  readonly openings: number;
  /** Why the fleet is open: failures, failure_rate, slow_rate, quota, sole_caller, probe_failed or probes_expired. */
  readonly reason: string | null;
  /** Who forced the state, and why. */
  readonly who: string | null;
  readonly why: string | null;
  /** True while Redis doesn't answer, or after `close()`: this process acts on its own counts. */
  readonly isStale: boolean;
  /** Version of the preset in use by the fleet; 0: no process that makes calls is known. */
  readonly version: number;
}

/** What an engine knows. */
export function snapshotOf({ id, member }: Engine): BreakerSnapshot {
  const { epoch, kind, sinceMs, openings, reason, who, why } = member.view;
  const { leftMs, stateName } = member.admission;
  const refuses = stateName !== 'closed' && stateName !== 'forced_closed';
  return {
    name: id.name,
    preset: id.preset,
    state: stateName,
    fleetState: kind,
    epoch,
    sinceMs: epoch === 0 ? null : sinceMs,
    refusesForMs: refuses ? (Number.isFinite(leftMs) ? Math.ceil(leftMs) : null) : 0,
    openings,
    reason: textOrNull(reason),
    who: textOrNull(who),
    why: textOrNull(why),
    isStale: member.isStale || member.isClosed,
    version: member.fleet.config.version,
  };
}

/** The snapshot of a breaker without any known use. */
function unseenSnapshot(name: string, preset: Preset, isStale: boolean): BreakerSnapshot {
  return {
    name,
    preset: preset.name,
    state: 'closed',
    fleetState: 'closed',
    epoch: 0,
    sinceMs: null,
    refusesForMs: 0,
    openings: 0,
    reason: null,
    who: null,
    why: null,
    isStale: isStale,
    version: preset.version,
  };
}

function textOrNull(text: string): string | null {
  return text === '' ? null : text;
}

/** Most unused breakers whose first use is watched for. */
const MAX_WATCHED = 100;

/** What {@link Looks} are made of. */
export interface LooksOptions {
  readonly registry: Registry;
  readonly store: Pick<BreakerStore, 'execute'>;
  readonly instance: string;
  /** Whether announcements arrive. Without them one that was not found is looked for again at each question. */
  readonly hears: () => boolean;
}

/**
 * Looks at breakers that this process doesn't call. For an unused one nothing is created: no engine, no metrics, no
 * record in the store, however many names are asked for. One that is found in the store gets an engine, which follows it.
 */
export class Looks {
  readonly #options: LooksOptions;
  /** Those that weren't found, the oldest first. */
  readonly #watched = new Map<string, BreakerId>();
  readonly #looking = new Map<string, Promise<BreakerSnapshot>>();

  #closed = false;

  constructor(options: LooksOptions) {
    this.#options = options;
  }

  /** The engine if there is one; otherwise it is looked for, once while it would be heard of. @throws {BreakerInputError} */
  find(name: string, preset: string): Engine | undefined {
    const { registry } = this.#options;
    const found = registry.find(name, preset);
    if (found !== undefined) return found;
    registry.presetOf(name, preset);
    if (!this.#watched.has(breakerKey({ preset, name })) || !this.#options.hears()) void this.look({ preset, name });
    return undefined;
  }

  /** What is known without asking. @throws {BreakerInputError} */
  snapshot(name: string, preset: string): BreakerSnapshot {
    const found = this.find(name, preset);
    return found === undefined
      ? unseenSnapshot(name, this.#options.registry.presetOf(name, preset), false)
      : snapshotOf(found);
  }

  /** Asks the store. */
  look(id: BreakerId): Promise<BreakerSnapshot> {
    const key = breakerKey(id);
    const under = this.#looking.get(key);
    if (under !== undefined) return under;
    this.#watch(key, id);
    const looking = this.#look(id).finally(() => this.#looking.delete(key));
    this.#looking.set(key, looking);
    return looking;
  }

  /** Something was announced: if it is of one that is watched, it is in use from now on. */
  applyAnnouncement({ preset, name, view }: Announcement): void {
    if (this.#watched.has(breakerKey({ preset, name }))) this.#use({ preset, name }).member.applyView(view);
  }

  /** Announcements in the meantime were missed. */
  again(): void {
    for (const id of this.#watched.values()) void this.look(id);
  }

  /** Asks nothing more. */
  close(): void {
    this.#closed = true;
    this.#watched.clear();
  }

  async #look(id: BreakerId): Promise<BreakerSnapshot> {
    const { registry, store, instance } = this.#options;
    const preset = registry.presetOf(id.name, id.preset);
    const engine = registry.find(id.name, id.preset);
    if (engine === undefined) {
      if (this.#closed) return unseenSnapshot(id.name, preset, true);
      const action = { type: 'read' } as const;
      const command = { instance, config: machineConfig(preset), known: unknownView, random: 0, action };
      const reply = await store.execute(id, command).catch(() => undefined);
      if (reply === undefined) return unseenSnapshot(id.name, preset, true);
      if (reply.view.epoch === 0) return unseenSnapshot(id.name, preset, false);
    }
    const used = engine ?? this.#use(id);
    await used.member.read();
    return snapshotOf(used);
  }

  #use(id: BreakerId): Engine {
    this.#watched.delete(breakerKey(id));
    return this.#options.registry.of(id.name, id.preset);
  }

  #watch(key: string, id: BreakerId): void {
    this.#watched.delete(key);
    this.#watched.set(key, id);
    if (this.#watched.size <= MAX_WATCHED) return;
    for (const oldest of this.#watched.keys()) {
      this.#watched.delete(oldest);
      break;
    }
  }
}
