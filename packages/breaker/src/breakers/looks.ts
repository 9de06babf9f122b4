import type { Engine } from '../engine/engine.ts';
import { machineConfig } from '../engine/machine-config.ts';
import { ignorance } from '../machine/record.ts';
import { type Announcement, breakerKey, type BreakerId, type BreakerStore } from '../store/store.ts';
import type { Registry } from './registry.ts';
import { snapshotOf, type BreakerSnapshot, unseenSnapshot } from './snapshot.ts';

/** Most breakers that nobody uses whose first use is waited for. */
const MAX_WATCHED = 100;

/** What {@link Looks} are made of. */
export interface LooksOptions {
  readonly registry: Registry;
  readonly store: Pick<BreakerStore, 'execute'>;
  readonly instance: string;
}

/**
 * Looks at breakers that this process doesn't call. Of one that nobody has used nothing is made: no engine, no metrics, no
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

  /** The engine if there is one; otherwise it is looked for, once. @throws {BreakerInputError} */
  find(preset: string, name: string): Engine | undefined {
    const { registry } = this.#options;
    const found = registry.find(preset, name);
    if (found !== undefined) return found;
    registry.presetOf(preset, name);
    if (!this.#watched.has(breakerKey({ preset, name }))) void this.look({ preset, name });
    return undefined;
  }

  /** What is known without asking. @throws {BreakerInputError} */
  snapshot(preset: string, name: string): BreakerSnapshot {
    const found = this.find(preset, name);
    return found === undefined
      ? unseenSnapshot(this.#options.registry.presetOf(preset, name), name, false)
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
  heard({ preset, name, view }: Announcement): void {
    if (this.#watched.has(breakerKey({ preset, name }))) this.#use({ preset, name }).hear(view);
  }

  /** What was announced in the meantime was not heard. */
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
    const preset = registry.presetOf(id.preset, id.name);
    const engine = registry.find(id.preset, id.name);
    if (engine === undefined) {
      if (this.#closed) return unseenSnapshot(preset, id.name, true);
      const action = { type: 'read' } as const;
      const command = { instance, config: machineConfig(preset), known: ignorance, random: 0, action };
      const reply = await store.execute(id, command).catch(() => undefined);
      if (reply === undefined) return unseenSnapshot(preset, id.name, true);
      if (reply.view.epoch === 0) return unseenSnapshot(preset, id.name, false);
    }
    const used = engine ?? this.#use(id);
    await used.link.read();
    return snapshotOf(used);
  }

  #use(id: BreakerId): Engine {
    this.#watched.delete(breakerKey(id));
    return this.#options.registry.of(id.preset, id.name);
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
