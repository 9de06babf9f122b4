import { createHash } from 'node:crypto';
import type {
  ByHand,
  LiveChange,
  LiveEntries,
  LivePolicies,
  Override,
  Plan,
  Policy,
  StoredPreset,
} from '@spillway/limiter';
import { plainPreset, type PolicyFile, storedContent } from './policy-file.ts';
import { setTimeout as delay } from 'node:timers/promises';
import type { GuardedLogger } from '../guard-logger.ts';

/** One entry that differs between what is set and a file. */
export interface FileChange {
  readonly kind: 'policy' | 'override' | 'list' | 'plan' | 'preset';
  /** Which of them: a name, `policy/subject`, or an entry of a list. */
  readonly name: string;
  /** As it is set; absent where it isn't. */
  readonly before?: unknown;
  /** As the file has it; absent where the file doesn't name it. */
  readonly after?: unknown;
}

/** How a file differs from what is set. */
export interface FileDifference {
  /** Entries of the file that are missing or differ. */
  readonly sets: readonly FileChange[];
  /** Entries that are set and the file doesn't name. */
  readonly unnamed: readonly FileChange[];
}

/** The result of applying a file. */
export interface ApplyReport {
  readonly set: readonly FileChange[];
  readonly removed: readonly FileChange[];
  /** Entries that stay although the file doesn't name them. */
  readonly left: readonly FileChange[];
  /** Whether the file was recorded: not if it changed nothing and has the content of the last one. */
  readonly recorded: boolean;
  /** Entries that another writer changed meanwhile, so that they differ from the file. */
  readonly overtaken: readonly FileChange[];
  /** How many other limiters take changes over; undefined where nothing was changed. */
  readonly otherLimiters: number | undefined;
}

/** How to apply a file. */
export interface ApplyOptions {
  /** Removes what the file doesn't name, too. Blocks are never touched. @default false */
  readonly prune?: boolean;
  /** Who applies it, for the trail. */
  readonly by?: Pick<ByHand, 'actor'>;
}

/** What a file and what is set have alike. */
type Content = Pick<PolicyFile, 'policies' | 'overrides' | 'allowed' | 'denied' | 'plans' | 'presets'>;

/** Compares a file with what is set. */
export function differenceOf(file: Content, entries: LiveEntries): FileDifference {
  const { sets, unnamed } = compare(file, entries);
  return { sets: sets.map(changeOf), unnamed: unnamed.map(changeOf) };
}

/** What has to be done for a difference. */
type Step = FileChange & { readonly take: (live: LivePolicies, by: ByHand) => Promise<LiveChange> };

function changeOf({ take: _take, ...change }: Step): FileChange {
  return change;
}

function compare(file: Content, entries: LiveEntries): Record<'sets' | 'unnamed', Step[]> {
  const [wanted, stored] = [flat(file), flat(storedContent(entries))];
  // A preset that is stored and can't be read is none that the file has.
  for (const { name } of entries.presets) {
    if (!stored.has(`preset ${name}`)) stored.set(`preset ${name}`, presetEntry(name, 'unreadable', { name }));
  }
  const sets = [...wanted].flatMap(([key, { kind, name, value, set }]): Step[] => {
    const before = stored.get(key);
    if (before === undefined) return [{ kind, name, after: value, take: set }];
    if (canonical(before.value) === canonical(value)) return [];
    return [{ kind, name, before: before.value, after: value, take: set }];
  });
  const unnamed = [...stored].flatMap(([key, { kind, name, value, remove }]): Step[] =>
    wanted.has(key) ? [] : [{ kind, name, before: value, take: remove }],
  );
  return { sets, unnamed };
}

/**
 * Writes the entries of a file one by one, each with its row of the trail; the last write records the file and its actor.
 * Equal entries aren't written; entries that the file doesn't name stay, unless `prune`. Interrupted at any point, the
 * entries so far hold, and applying the file again does the rest.
 *
 * Rejects with `LimiterUnavailableError` when Redis is away, and with `LimiterInputError` where there is no room for an
 * entry.
 */
export async function applyFile(
  live: LivePolicies,
  file: PolicyFile,
  { prune = false, by = {} }: ApplyOptions = {},
): Promise<ApplyReport> {
  const entries = await live.list();
  const { sets, unnamed } = compare(file, entries);
  const removed = prune ? unnamed : [];
  const reason = { ...by, why: `${file.name.slice(0, 200)} ${file.sha256.slice(0, 16)}` };
  let last: LiveChange | undefined;
  for (const step of [...sets, ...removed]) last = await step.take(live, reason);
  const content = contentHash(file);
  const changes = sets.length + removed.length;
  const recorded = changes > 0 || entries.file?.content !== content;
  const { name, sha256 } = file;
  if (recorded) last = await live.recordFile({ name: name.slice(0, 200), sha256, content, changes }, reason);
  const after: FileDifference = changes === 0 ? { sets: [], unnamed: [] } : differenceOf(file, await live.list());
  return {
    set: sets.map(changeOf),
    removed: removed.map(changeOf),
    left: prune ? [] : unnamed.map(changeOf),
    recorded,
    overtaken: [...after.sets, ...(prune ? after.unnamed : [])],
    otherLimiters: last?.otherLimiters,
  };
}

/** Whether a file says what the one says that was applied last. */
function isApplied(file: PolicyFile, entries: LiveEntries): boolean {
  return entries.file?.content === contentHash(file);
}

/** The same for files that differ in layout, order and comments alone. */
function contentHash(file: Content): string {
  const entries = [...flat(file)].map(([key, { value }]) => [key, value] as const);
  const sorted = entries.toSorted(([one], [other]) => (one < other ? -1 : 1));
  return createHash('sha256').update(canonical(sorted)).digest('hex');
}

interface Entry {
  readonly kind: FileChange['kind'];
  readonly name: string;
  readonly value: unknown;
  readonly set: Step['take'];
  readonly remove: Step['take'];
}

function flat({ policies, overrides, allowed, denied, plans, presets }: Content): Map<string, Entry> {
  const entries: Entry[] = [
    ...policies.map((policy) => policyEntry(policy)),
    ...plans.map((plan) => planEntry(plan)),
    ...presets.map((preset) => presetEntry(preset.name, plainPreset(preset), { ...plainPreset(preset) })),
    ...overrides.map((override) => overrideEntry(override)),
    ...allowed.map((name) => listEntry(name, 'allow')),
    ...denied.map((name) => listEntry(name, 'deny')),
  ];
  return new Map(entries.map((entry) => [`${entry.kind} ${entry.name}`, entry]));
}

function policyEntry(policy: Policy): Entry {
  const { name } = policy;
  return {
    kind: 'policy',
    name,
    value: policy,
    set: (live, by) => live.setPolicy(policy, by),
    remove: (live, by) => live.removePolicy(name, by),
  };
}

function planEntry(plan: Plan): Entry {
  const { name, policies } = plan;
  return {
    kind: 'plan',
    name,
    value: policies,
    set: (live, by) => live.setPlan(plan, by),
    remove: (live, by) => live.removePlan(name, by),
  };
}

function presetEntry(name: string, value: unknown, preset: StoredPreset): Entry {
  return {
    kind: 'preset',
    name,
    value,
    set: (live, by) => live.setPreset(preset, by),
    remove: (live, by) => live.removePreset(name, by),
  };
}

function overrideEntry(override: Override): Entry {
  return {
    kind: 'override',
    name: `${override.policy}/${override.subject}`,
    value: override,
    set: (live, by) => live.setOverride(override, by),
    remove: (live, by) => live.removeOverride(override, by),
  };
}

function listEntry(name: string, verdict: 'allow' | 'deny'): Entry {
  return {
    kind: 'list',
    name,
    value: verdict,
    set: (live, by) => (verdict === 'allow' ? live.allow(name, by) : live.deny(name, by)),
    remove: (live, by) => live.unlist(name, by),
  };
}

/** JSON in which the order of members makes no difference. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  );
}

/** How long until the next try while Redis is away, in ms. */
const RETRY_MS = 1_000;

/** What {@link takeFile} works with. */
export interface TakeFileOptions {
  readonly file: PolicyFile;
  /** Stays open: it is the caller's. */
  readonly live: LivePolicies;
  /** Who applies it, for the trail: `api:web-3`. */
  readonly actor: string;
  readonly logger: Pick<GuardedLogger, 'info' | 'warn'>;
}

/**
 * Applies a file at a program's start, in the background and until Redis is there: unless its content is that of the file
 * applied last. So a restart reverts no manual change. Removes nothing.
 */
export function takeFile({ file, live, actor, logger }: TakeFileOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  const facts = { file: file.name, sha256: file.sha256 };

  async function take(): Promise<void> {
    if (isApplied(file, await live.list())) {
      logger.info(facts, 'policy file: applied before');
      return;
    }
    const { set, left } = await applyFile(live, file, { by: { actor } });
    logger.info({ ...facts, set: set.length, notInFile: left.length }, 'policy file: applied');
  }

  async function untilTaken(): Promise<void> {
    while (!stop.signal.aborted) {
      try {
        return await take();
      } catch (err) {
        if (stop.signal.aborted) return;
        logger.warn({ err, ...facts }, 'policy file: not applied yet');
        await delay(RETRY_MS, undefined, { signal: stop.signal, ref: false }).catch(() => {});
      }
    }
  }

  const taken = untilTaken();
  return {
    async close() {
      stop.abort();
      await taken;
    },
  };
}
