import type { Limiter, Policy } from '@spillway/limiter';
import { refusal, unknownPolicyProblem } from '../problems.ts';

/** The policy that a path names. @throws {HTTPException} that becomes a 404 */
export function findPolicy({ policies }: Limiter, name: string): Policy {
  const policy = policies.get(name);
  if (policy === undefined) throw refusal(unknownPolicyProblem(policies.keys()));
  return policy;
}
