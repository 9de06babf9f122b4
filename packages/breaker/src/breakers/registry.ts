import type { Engine } from '../engine/engine.ts';
import { BreakerInputError, shown } from '../errors.ts';
import { checkName } from '../names.ts';
import type { Preset } from '../presets/preset.ts';

/** What a {@link Registry} is made of. */
export interface RegistryOptions {
  readonly presets: readonly Preset[];
  /** Most breakers at once. */
  readonly maxBreakers: number;
  /** A breaker without a call for so long, in ms, is let go. */
  readonly idleMs: number;
  readonly make: (preset: Preset, name: string) => Engine;
  /** Called with each that was let go. */
  readonly onEvicted: (engine: Engine) => void;
}

interface Shelf {
  readonly preset: Preset;
  readonly engines: Map<string, Engine>;
}

/**
 * The breakers of a process: one for each preset and name, made when it is first asked for. A breaker that was let go
 * loses nothing: the fleet's state is in Redis, and is heard anew.
 */
export class Registry {
  readonly #shelves: ReadonlyMap<string, Shelf>;
  readonly #options: RegistryOptions;
  #size = 0;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#shelves = new Map(options.presets.map((preset) => [preset.name, { preset, engines: new Map() }]));
  }

  /** What a breaker would be made of. @throws {BreakerInputError} for an unknown preset or a bad name */
  presetOf(preset: string, name: string): Preset {
    return this.#checked(this.#shelves.get(preset), preset, name).preset;
  }

  /** The breaker of that preset and name. @throws {BreakerInputError} for an unknown preset or a bad name */
  of(preset: string, name: string): Engine {
    const shelf = this.#shelves.get(preset);
    return shelf?.engines.get(name) ?? this.#make(shelf, preset, name);
  }

  /** The breaker if there is one. */
  find(preset: string, name: string): Engine | undefined {
    return this.#shelves.get(preset)?.engines.get(name);
  }

  /** All of them. */
  all(): Engine[] {
    return [...this.#shelves.values()].flatMap(({ engines }) => Array.from(engines.values()));
  }

  /** Lets go of those that are closed and idle. */
  sweep(): void {
    for (const engine of this.all()) {
      if (engine.idleMs >= this.#options.idleMs && isDispensable(engine)) this.#evict(engine);
    }
  }

  #checked(shelf: Shelf | undefined, presetName: string, name: string): Shelf {
    if (shelf === undefined) {
      const known = [...this.#shelves.keys()].join(', ');
      throw new BreakerInputError('preset', `must be one of ${known}, not ${shown(presetName)}`);
    }
    checkName(name);
    return shelf;
  }

  #make(known: Shelf | undefined, presetName: string, name: string): Engine {
    const { maxBreakers, make } = this.#options;
    const shelf = this.#checked(known, presetName, name);
    if (this.#size >= maxBreakers) this.#makeRoom();
    const engine = make(shelf.preset, name);
    shelf.engines.set(name, engine);
    this.#size += 1;
    return engine;
  }

  /** Lets the idlest tenth go at once, for looking for them takes time; closed ones first, for they have least to forget. */
  #makeRoom(): void {
    const ranked = this.all()
      .map((engine) => ({ engine, isOpen: !isDispensable(engine), idleMs: engine.idleMs }))
      .toSorted((one, other) => Number(one.isOpen) - Number(other.isOpen) || other.idleMs - one.idleMs);
    for (const { engine } of ranked.slice(0, Math.ceil(ranked.length / 10))) this.#evict(engine);
  }

  #evict(engine: Engine): void {
    if (this.#shelves.get(engine.id.preset)?.engines.delete(engine.id.name) !== true) return;
    this.#size -= 1;
    this.#options.onEvicted(engine);
  }
}

function isDispensable({ gate }: Engine): boolean {
  return gate.stateName === 'closed';
}
