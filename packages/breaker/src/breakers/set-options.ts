import { defaultActor } from '@spillway/redis/core';
import { BreakerInputError, shown, wholeNumberWithin } from '../errors.ts';
import { type BreakerMetrics, safeMetrics } from '../metrics.ts';
import { builtInPresets, definePreset, MAX_TIME_MS, type Preset, type PresetOptions } from '../presets/preset.ts';
import type { BreakersParts } from './breaker-set.ts';
import { checkActor } from './breaker.ts';

/** What breakers of a process are made with, wherever the fleet's state is kept. */
export interface BreakerSetOptions<Presets extends readonly PresetOptions[]> {
  /** Beside the built-in ones; one of the same name takes a built-in one's place. @default none */
  readonly presets?: Presets;
  /** Callbacks that are told what happens; see the subpaths `/prometheus` and `/opentelemetry`. @default none */
  readonly metrics?: BreakerMetrics;
  /** Most breakers in this process; the idlest are let go, and what Redis knows of them stays. @default 10_000 */
  readonly maxBreakers?: number;
  /** A closed breaker without a call for so long, in ms, is let go. @default 600_000 */
  readonly idleMs?: number;
  /**
   * Who moves breakers by hand through this process, for the trail, unless the call says so itself: 1 to 200 characters.
   * @default the program and its host, `app:server.js@web-3`
   */
  readonly actor?: string;
  /**
   * This process looks at breakers and moves them by hand, for others that make the calls: what its presets say never
   * replaces what the callers' say, whatever their version. @default false
   */
  readonly controlOnly?: boolean;
}

/** The names of the {@link BreakerSetOptions}. */
export const setOptionNames: readonly (keyof BreakerSetOptions<[]>)[] = [
  'presets',
  'metrics',
  'maxBreakers',
  'idleMs',
  'actor',
  'controlOnly',
];

/** Checks the options and fills in what they leave out. @throws {BreakerInputError} naming the option and its value. */
export function readSetOptions(
  options: BreakerSetOptions<readonly PresetOptions[]>,
): Pick<BreakersParts, 'presets' | 'metrics' | 'maxBreakers' | 'idleMs' | 'actor'> {
  const { maxBreakers = 10_000, idleMs = 600_000, actor = defaultActor() } = options;
  checkActor('actor', actor);
  wholeNumberWithin('maxBreakers', maxBreakers, 1, 10_000_000);
  wholeNumberWithin('idleMs', idleMs, 1_000, MAX_TIME_MS);
  const presets = presetsOf(options.presets ?? [], options.controlOnly ?? false);
  const metrics = options.metrics === undefined ? undefined : safeMetrics(options.metrics);
  return { presets, metrics, maxBreakers, idleMs, actor };
}

/** Below every version that a caller's preset can have. */
const CONTROL_ONLY_VERSION = 0;

function presetsOf(presets: readonly PresetOptions[], controlOnly: boolean): readonly Preset[] {
  if (typeof controlOnly !== 'boolean')
    throw new BreakerInputError('controlOnly', `must be a boolean, not ${shown(controlOnly)}`);
  const checked = completed(presets);
  return controlOnly ? checked.map((preset) => ({ ...preset, version: CONTROL_ONLY_VERSION })) : checked;
}

/** The built-in presets and the given ones, each checked and complete. */
function completed(presets: readonly PresetOptions[]): readonly Preset[] {
  if (!Array.isArray(presets)) throw new BreakerInputError('presets', `must be a list, not ${shown(presets)}`);
  const own = new Map<string, Preset>();
  for (const given of presets) {
    const preset = definePreset(given);
    if (own.has(preset.name)) throw new BreakerInputError('presets', `holds ${shown(preset.name)} twice`);
    own.set(preset.name, preset);
  }
  return [...builtInPresets.filter(({ name }) => !own.has(name)), ...own.values()];
}
