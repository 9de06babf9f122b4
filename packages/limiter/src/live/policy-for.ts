import type { LivePolicies } from './live-policies.ts';
import type { Policy } from '../algorithms/registry.ts';

/** What a look-up needs of a limiter. */
export interface PolicySource {
  readonly policies: ReadonlyMap<string, Policy>;
  readonly live?: LivePolicies;
}

/** The policy that holds for a subject now, live ones and overrides included; undefined for a name that nobody knows. */
export function policyFor({ policies, live }: PolicySource, name: string, subject: string): Policy | undefined {
  if (live === undefined) return policies.get(name);
  const policy = live.policy(name) ?? policies.get(name);
  return policy === undefined ? undefined : live.resolve(policy, subject);
}
