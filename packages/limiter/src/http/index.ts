export { guard } from './guard.ts';
export type { FetchGuardOptions, GuardResult } from './guard.ts';
export { rateLimitHeaders, withRetryJitter } from './headers.ts';
export { byApiKey, byJwtSubject, firstOf, UnusableIdentityError } from './identity.ts';
export type {
  ByApiKeyOptions,
  ByJwtSubjectOptions,
  Identify,
  IdentifyInContext,
  JwtClaims,
  RequestHeaders,
} from './identity.ts';
export { byIp } from './by-ip.ts';
export type { ByIpOptions } from './by-ip.ts';
export type { Chosen, GuardOptions, RateLimitInfo, Refusal } from './guard-options.ts';
export type { HeaderChoice } from './headers.ts';
export { plans } from './plans.ts';
export type { PlansOptions } from './plans.ts';
export type { NodeRequest } from './node-request.ts';
export { denialProblem, problemResponse } from './problem.ts';
export type { Problem } from './problem.ts';
