import {
  apiCalls,
  type ApiFault,
  apiOptionNames,
  type ApiOptions,
  type CheckedApiOptions,
  faultReporter,
  readApiOptions,
} from '@spillway/redis/core';
import { wholeNumberWithin } from '../checks.ts';
import { localDecisions } from '../decide/local-decisions.ts';
import { checkMembers, LimiterInputError } from '../errors.ts';
import type { LimiterStore } from '../store/store.ts';
import { rememberedBlocks } from './batches.ts';
import { changing, deciding, type Parts } from './operations.ts';

/** What {@link httpStore} needs. The key needs the scope `decide`; with `operate` too for resets and blocks. */
export interface HttpStoreOptions extends ApiOptions {
  /**
   * How long a block is refused here without asking again, in ms, 0 to 60,000: an unblock elsewhere takes effect that much later.
   * @default 1_000
   */
  readonly denyCacheMs?: number;
  /** By how many processes a policy with `onUnavailable: 'local'` divides its limit while the API is away. @default 1 */
  readonly instances?: number;
}

const OPTIONS = [...apiOptionNames, 'denyCacheMs', 'instances'];

const MAX_LOCAL_WINDOWS = 10_000;
const MEANWHILE = 'Each policy answers by its onUnavailable until the API is available again';

/**
 * Windows behind Spillway's API, for edge runtimes without TCP and programs that may not reach Redis. The API's policy of
 * the same name decides; while the API is away, `onUnavailable` of the policy given here does.
 * @example
 * ```ts
 * const store = httpStore({ url: 'https://limits.example.com', key: limitsKey });
 * const limiter = createLimiter({ store, policies: [{ name: 'api', limit: 100, windowMs: 60_000 }] });
 * ```
 * @throws {LimiterInputError} naming the option and its value; never the key.
 */
export function httpStore(options: HttpStoreOptions): LimiterStore {
  const checked = checkOptions(options);
  const { deadlineMs, gatherMs, denyCacheMs, instances } = checked;
  const { onError, onRecovered } = options;
  const who = 'Spillway limiter';
  const faults = faultReporter({ who, decider: 'The API', meanwhile: MEANWHILE, onError, onRecovered });
  const blocks = rememberedBlocks(denyCacheMs);
  const away = localDecisions<ApiFault>({
    instances: () => instances,
    onFailed: (fault) => faults.failed(fault),
    maxWindows: MAX_LOCAL_WINDOWS,
    knownBlock: (request) => blocks.until(request),
  });
  const api = apiCalls({ ...checked, onAnswer: () => faults.answered() });
  const parts: Parts = { api, blocks, away, faults, deadlineMs };
  return { ...deciding(parts, gatherMs), ...changing(parts), close: async () => blocks.clear() };
}

/** @throws {LimiterInputError} */
function checkOptions(options: HttpStoreOptions): Checked {
  checkMembers('options', options, OPTIONS);
  const { denyCacheMs = 1_000, instances = 1 } = options;
  const api = readApiOptions(options);
  if ('problem' in api) throw new LimiterInputError(api.field, api.problem);
  wholeNumberWithin('denyCacheMs', denyCacheMs, 0, 60_000);
  wholeNumberWithin('instances', instances, 1, 1_000_000);
  return { ...api, denyCacheMs, instances };
}

type Checked = CheckedApiOptions & Required<Pick<HttpStoreOptions, 'denyCacheMs' | 'instances'>>;
