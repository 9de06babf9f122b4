import { BreakerInputError, checkName, shown } from '../errors.ts';
import type { Engine } from '../engine/engine.ts';
import type { Preset } from '../presets/preset.ts';

/** What a {@link Registry} is made of. */
export interface RegistryOptions {
  readonly presets: readonly Preset[];
  /** Most breakers at once. */
  readonly maxBreakers: number;
  /** A breaker without a call for so long, in ms, is let go. */
  readonly idleMs: number;
  readonly make: (name: string, preset: Preset) => Engine;
  /** Called with each that was let go. */
  readonly onEvicted: (engine: Engine) => void;
}

interface PresetGroup {
  readonly preset: Preset;
  readonly engines: Map<string, Engine>;
}

/**
 * The breakers of a process: one for each preset and name, made when it is first asked for. A breaker that was let go
 * loses nothing: the fleet's state is in Redis and is read again.
 */
export class Registry {
  readonly #groups: ReadonlyMap<string, PresetGroup>;
  readonly #options: RegistryOptions;
  #size = 0;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#groups = new Map(options.presets.map((preset) => [preset.name, { preset, engines: new Map() }]));
  }

  /** What a breaker would be made of. @throws {BreakerInputError} for an unknown preset or a bad name */
  presetOf(name: string, preset: string): Preset {
    return this.#checked(this.#groups.get(preset), name, preset).preset;
  }

  /** The breaker of that preset and name. @throws {BreakerInputError} for an unknown preset or a bad name */
  of(name: string, preset: string): Engine {
    const group = this.#groups.get(preset);
    return group?.engines.get(name) ?? this.#make(group, name, preset);
  }

  /** The breaker if there is one. */
  find(name: string, preset: string): Engine | undefined {
    return this.#groups.get(preset)?.engines.get(name);
  }

  /** All of them. */
  all(): Engine[] {
    return [...this.#groups.values()].flatMap(({ engines }) => Array.from(engines.values()));
  }

  /** Lets go of those that are closed and idle. */
  sweep(): void {
    for (const engine of this.all()) {
      if (engine.member.idleMs >= this.#options.idleMs && isEvictable(engine)) this.#evict(engine);
    }
  }

  #checked(group: PresetGroup | undefined, name: string, preset: string): PresetGroup {
    if (group === undefined) {
      const known = [...this.#groups.keys()].join(', ');
      throw new BreakerInputError('preset', `must be one of ${known}, not ${shown(preset)}`);
    }
    checkName(name);
    return group;
  }

  #make(known: PresetGroup | undefined, name: string, preset: string): Engine {
    const { maxBreakers, make } = this.#options;
    const group = this.#checked(known, name, preset);
    if (this.#size >= maxBreakers) this.#makeRoom();
    const engine = make(name, group.preset);
    group.engines.set(name, engine);
    this.#size += 1;
    return engine;
  }

  /** Lets the idlest tenth go at once, for looking for them takes time; closed ones first, for they have least to forget. */
  #makeRoom(): void {
    const ranked = this.all()
      .map((engine) => ({ engine, isOpen: !isEvictable(engine), idleMs: engine.member.idleMs }))
      .toSorted((one, other) => Number(one.isOpen) - Number(other.isOpen) || other.idleMs - one.idleMs);
    for (const { engine } of ranked.slice(0, Math.ceil(ranked.length / 10))) this.#evict(engine);
  }

  #evict(engine: Engine): void {
    if (this.#groups.get(engine.id.preset)?.engines.delete(engine.id.name) !== true) return;
    this.#size -= 1;
    this.#options.onEvicted(engine);
  }
}

/** One whose state isn't known yet may be open, and its calls wait to hear of it. */
function isEvictable({ stateName, member }: Engine): boolean {
  return stateName === 'closed' && member.admission.isKnown;
}
