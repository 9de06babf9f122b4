export { guard } from './guard.ts';
export type { GuardOptions, GuardResult } from './guard.ts';
export { rateLimitHeaders } from './headers.ts';
export { byApiKey } from './identity.ts';
export type { Identify } from './identity.ts';
export { denialProblem, problemResponse } from './problem.ts';
export type { Problem } from './problem.ts';
