import { type Limiter, type Policy, policyFor } from '@spillway/limiter';
import { problemException, unknownPolicyProblem } from '../problems.ts';

/** The policy that a path names, as it holds for a subject now. @throws {HTTPException} that becomes a 404 */
export function findPolicy(limiter: Limiter, name: string, subject: string): Policy {
  const policy = policyFor(limiter, name, subject);
  if (policy === undefined) throw problemException(unknownPolicyProblem(limiter.policies.keys()));
  return policy;
}
