import type { HotPathClient } from '@spillway/redis';
import { redisOf } from '../backend.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import { definePolicy, wholeNumberWithin } from '../policy/policy.ts';
import type { Policy } from '../types.ts';
import { redisBus } from './bus.ts';
import { checkListEntry, checkOverride, checkPolicyName, fields, type LiveEntryError, readEntries } from './entries.ts';
import { DEFAULT_LIVE_KEY, type LiveOptions, type LivePolicies } from './live-policies.ts';
import { liveView } from './live-view.ts';
import { MAX_ENTRIES } from './memory-source.ts';
import { checkFits } from './overridden.ts';
import { redisLiveSource } from './redis-source.ts';
import type { LiveSource } from './source.ts';

/**
 * Opens the live policies of a deployment, for reading and changing them without a limiter.
 * @example
 * ```ts
 * const live = livePolicies({ redis });
 * await live.setOverride({ policy: 'generation', subject: 'org-7:*', limit: 200 });
 * ```
 * @throws {LimiterInputError} naming the option and its value.
 */
export function livePolicies({
  redis,
  ...options
}: LiveOptions & { readonly redis: HotPathClient | string }): LivePolicies {
  const { key = DEFAULT_LIVE_KEY, deadlineMs = 1_000 } = checkLiveOptions(options);
  const { client, release } = redisOf(redis);
  const source = redisLiveSource(client, redisBus(client, key), key, deadlineMs);
  const close = (): void => {
    source.close();
    release();
  };
  return liveOver({ source: { ...source, close }, ...options });
}

/** @throws {LimiterInputError} */
export function checkLiveOptions(options: LiveOptions): LiveOptions {
  checkMembers('live', options, ['key', 'deadlineMs', 'onError']);
  const { key, deadlineMs, onError } = options;
  if (key !== undefined && (typeof key !== 'string' || key === '')) {
    throw new LimiterInputError('live.key', `must be text, not ${shown(key)}`);
  }
  if (deadlineMs !== undefined) wholeNumberWithin('live.deadlineMs', deadlineMs, 1, 60_000);
  if (onError !== undefined && typeof onError !== 'function') {
    throw new LimiterInputError('live.onError', `must be a function, not ${shown(onError)}`);
  }
  return options;
}

/** What {@link liveOver} is made of. */
export interface LiveParts {
  readonly source: LiveSource;
  /** The policies in code, by which overrides are checked. */
  readonly policies?: ReadonlyMap<string, Policy>;
  readonly onError?: (error: LiveEntryError) => void;
}

/** {@link LivePolicies} over any source. The source is closed with them. */
export function liveOver({ source, policies, onError = () => undefined }: LiveParts): LivePolicies {
  const view = liveView(source, onError);

  async function write(field: string, value: string | undefined): Promise<boolean> {
    const was = await source.write(field, value);
    if (was === 'full')
      throw new LimiterInputError('live', `holds ${MAX_ENTRIES} entries and has no room for one more`);
    await view.refresh();
    return was;
  }

  return {
    async setPolicy(options) {
      const policy = definePolicy(options);
      await write(fields.policy(policy.name), JSON.stringify(policy));
    },
    async removePolicy(name) {
      checkPolicyName(name);
      return write(fields.policy(name), undefined);
    },
    async setOverride(override) {
      const { policy, subject, ...patch } = checkOverride(override);
      const base = view.table.policy(policy) ?? policies?.get(policy);
      if (base !== undefined) checkFits(base, override);
      await write(fields.override({ policy, subject }), JSON.stringify(patch));
    },
    async removeOverride({ policy, subject }) {
      checkPolicyName(policy);
      return write(fields.override({ policy, subject: checkedText(subject) }), undefined);
    },
    allow: async (entry) => void (await write(fields.list(checkListEntry(entry)), 'allow')),
    deny: async (entry) => void (await write(fields.list(checkListEntry(entry)), 'deny')),
    unlist: async (entry) => write(fields.list(checkListEntry(entry)), undefined),
    list: async () => readEntries(await source.load(), onError),
    refresh: view.refresh,
    resolve: (base, subject) => view.table.resolve(base, subject),
    policy: (name) => view.table.policy(name),
    listed: (subject) => view.table.listed(subject),
    close: () => source.close(),
  };
}

function checkedText(subject: unknown): string {
  if (typeof subject === 'string') return subject;
  throw new LimiterInputError('subject', `must be text, not ${shown(subject)}`);
}
