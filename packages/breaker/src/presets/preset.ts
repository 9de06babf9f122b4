import { BreakerInputError, checkObject, fraction, numberWithin, oneOf, shown, wholeNumberWithin } from '../errors.ts';
import { defaultClassifier } from '../outcome/classify.ts';
import type { Classifier } from '../outcome/outcome.ts';
import { checkSlowCalls, checkTrip, type SlowCalls, type Trip, type TripOptions } from './trip.ts';

/** The longest time that any option may name: a day. */
export const MAX_TIME_MS: number = 24 * 60 * 60 * 1000;

/** Whether breakers open and refuse, or only count and record. Forced open by hand they refuse in either mode. */
export type BreakerMode = 'enforce' | 'metrics-only';

/** What is written to the audit trail. */
export type Recorded = 'transitions' | 'failures' | 'successes';

/** The share of calls that pass after closing grows from `startShare` to all within `durationMs`. */
export interface Ramp {
  readonly durationMs: number;
  /** 0 to 1, exclusive. */
  readonly startShare: number;
}

/** How breakers of one kind behave, checked and complete. Made by {@link definePreset}. */
export interface Preset<Name extends string = string> {
  readonly name: Name;
  /** What opens the breaker. */
  readonly trip: Trip;
  /** Opens by slow calls too. */
  readonly slowCalls?: SlowCalls;
  /** How long the first opening lasts, in ms. */
  readonly openMs: number;
  /** The longest an opening may last, however often probes fail, in ms. */
  readonly maxOpenMs: number;
  /** Each reopening lasts this many times the one before, up to `maxOpenMs`; 1 = all last the same. */
  readonly openBackoff: number;
  /** Probes under way at once in the whole fleet while half-open, and how many must succeed to close. */
  readonly probes: number;
  /** A probe's lease outlives its call's timeout by this, in ms. */
  readonly probeMarginMs: number;
  /** A call that takes longer is a failure, in ms; `Infinity`: it may take any time. */
  readonly timeoutMs: number;
  /** Distinct instances that must have seen failures before the fleet opens: a number from 1, or a share below 1 of those calling. */
  readonly quorum: number;
  readonly ramp?: Ramp;
  readonly record: readonly Recorded[];
  readonly mode: BreakerMode;
  /** Raise it with each change: where instances differ during a deploy, the newest version wins. */
  readonly version: number;
  readonly classifier: Classifier;
}

/** What {@link definePreset} needs. */
export interface PresetOptions<Name extends string = string> {
  /** Lower-case letters, digits, `_` and `-`, up to 64. */
  readonly name: Name;
  readonly trip: TripOptions;
  /** @default none */
  readonly slowCalls?: SlowCalls;
  /** How long the first opening lasts, in ms, up to a day. */
  readonly openMs: number;
  /** @default 10 × openMs, a day at most */
  readonly maxOpenMs?: number;
  /** From 1 to 10. @default 2 */
  readonly openBackoff?: number;
  /** From 1 to 1,000. @default 1 */
  readonly probes?: number;
  /** @default 1_000 */
  readonly probeMarginMs?: number;
  /** A call that takes longer is a failure, in ms, up to a day; false: it may take any time. @default 10_000 */
  readonly timeoutMs?: number | false;
  /** @default 2 */
  readonly quorum?: number;
  /** @default none */
  readonly ramp?: Ramp;
  /** @default ['transitions', 'failures'] */
  readonly record?: readonly Recorded[];
  /** @default 'enforce' */
  readonly mode?: BreakerMode;
  /** A whole number from 1. @default 1 */
  readonly version?: number;
  /** @default defaultClassifier */
  readonly classifier?: Classifier;
}

const OPTIONS = [
  'trip',
  'slowCalls',
  'openMs',
  'maxOpenMs',
  'openBackoff',
  'probes',
  'probeMarginMs',
  'timeoutMs',
  'quorum',
  'ramp',
  'record',
  'mode',
  'version',
  'classifier',
] as const satisfies readonly (keyof PresetOptions)[];

/**
 * Checks a preset and fills in what it leaves out.
 * @example
 * ```ts
 * const search = definePreset({
 *   name: 'search',
 *   trip: { strategy: 'rate', window: { kind: 'time', windowMs: 10_000 }, minimumCalls: 20, failureRate: 0.5 },
 *   openMs: 15_000,
 *   timeoutMs: 2_000,
 * });
 * ```
 * @throws {BreakerInputError} naming the option and its value.
 */
export function definePreset<const Name extends string>(options: PresetOptions<Name>): Preset<Name> {
  checkObject('preset', options, ['name', ...OPTIONS]);
  const { name, trip, slowCalls, openMs, openBackoff = 2, probes = 1, probeMarginMs = 1_000 } = options;
  const { quorum = 2, ramp, record = ['transitions', 'failures'], mode = 'enforce', version = 1 } = options;
  const { classifier = defaultClassifier, timeoutMs: timeout = 10_000 } = options;
  const timeoutMs = timeout === false ? Infinity : timeout;
  if (typeof name !== 'string' || !/^[a-z0-9_-]{1,64}$/.test(name)) {
    throw new BreakerInputError('name', `must be 1 to 64 of a-z, 0-9, _ and -, not ${shown(name)}`);
  }
  const of = (option: string): string => `preset ${name}: ${option}`;
  wholeNumberWithin(of('openMs'), openMs, 1, MAX_TIME_MS);
  const { maxOpenMs = Math.min(10 * openMs, MAX_TIME_MS) } = options;
  wholeNumberWithin(of('maxOpenMs'), maxOpenMs, openMs, MAX_TIME_MS);
  numberWithin(of('openBackoff'), openBackoff, 1, 10);
  wholeNumberWithin(of('probes'), probes, 1, 1_000);
  wholeNumberWithin(of('probeMarginMs'), probeMarginMs, 0, MAX_TIME_MS);
  if (timeoutMs !== Infinity) wholeNumberWithin(of('timeoutMs'), timeoutMs, 1, MAX_TIME_MS);
  wholeNumberWithin(of('version'), version, 1, 2 ** 31 - 1);
  oneOf(of('mode'), mode, ['enforce', 'metrics-only']);
  checkQuorum(of('quorum'), quorum);
  checkRecord(of('record'), record);
  return {
    name,
    trip: checkTrip(of('trip'), trip),
    openMs,
    maxOpenMs,
    openBackoff,
    probes,
    probeMarginMs,
    timeoutMs,
    quorum,
    record: [...record],
    mode,
    version,
    classifier: checkClassifier(of('classifier'), classifier),
    ...(slowCalls === undefined ? {} : { slowCalls: checkSlowCalls(of('slowCalls'), slowCalls) }),
    ...(ramp === undefined ? {} : { ramp: checkRamp(of('ramp'), ramp) }),
  };
}

function checkQuorum(field: string, value: unknown): void {
  const whole = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 10_000;
  const share = typeof value === 'number' && value > 0 && value < 1;
  if (!whole && !share) {
    throw new BreakerInputError(
      field,
      `must be a whole number from 1 to 10000 or a share below 1, not ${shown(value)}`,
    );
  }
}

function checkRecord(field: string, record: unknown): void {
  if (!Array.isArray(record)) throw new BreakerInputError(field, `must be a list, not ${shown(record)}`);
  for (const kind of record) oneOf(field, kind, ['transitions', 'failures', 'successes']);
}

function checkRamp(field: string, ramp: Ramp): Ramp {
  checkObject(field, ramp, ['durationMs', 'startShare'], `${field}.`);
  const { durationMs, startShare } = ramp;
  wholeNumberWithin(`${field}.durationMs`, durationMs, 1, MAX_TIME_MS);
  fraction(`${field}.startShare`, startShare);
  return { durationMs, startShare };
}

function checkClassifier(field: string, value: unknown): Classifier {
  if (isClassifier(value)) return value;
  throw new BreakerInputError(field, `must have ofResult and ofError, not ${shown(value)}`);
}

function isClassifier(value: unknown): value is Classifier {
  if (typeof value !== 'object' || value === null || !('ofResult' in value) || !('ofError' in value)) return false;
  return typeof value.ofResult === 'function' && typeof value.ofError === 'function';
}

const SECOND = 1000;

/** AI providers: 5 failures in a row open for 60 s; 2 probes. Generations are slow, so calls may take 2 minutes. */
export const aiProvider: Preset<'ai_provider'> = definePreset({
  name: 'ai_provider',
  trip: { strategy: 'consecutive', failures: 5 },
  openMs: 60 * SECOND,
  probes: 2,
  timeoutMs: 120 * SECOND,
});

/** Object stores: 3 failures in a row open for 30 s; 1 probe; calls may take 30 s. */
export const storage: Preset<'storage'> = definePreset({
  name: 'storage',
  trip: { strategy: 'consecutive', failures: 3 },
  openMs: 30 * SECOND,
  probes: 1,
  timeoutMs: 30 * SECOND,
});

/** Other people's webhooks: 10 failures in a row open for 2 minutes; 3 probes; calls may take 10 s. */
export const webhook: Preset<'webhook'> = definePreset({
  name: 'webhook',
  trip: { strategy: 'consecutive', failures: 10 },
  openMs: 120 * SECOND,
  probes: 3,
  timeoutMs: 10 * SECOND,
});

/** Mail providers: 5 failures in a row open for 60 s; 2 probes; calls may take 30 s. */
export const email: Preset<'email'> = definePreset({
  name: 'email',
  trip: { strategy: 'consecutive', failures: 5 },
  openMs: 60 * SECOND,
  probes: 2,
  timeoutMs: 30 * SECOND,
});

/** The four built-in presets. */
export const builtInPresets: readonly [typeof aiProvider, typeof storage, typeof webhook, typeof email] = [
  aiProvider,
  storage,
  webhook,
  email,
];

/** The names of the built-in presets. */
export type BuiltInName = (typeof builtInPresets)[number]['name'];
