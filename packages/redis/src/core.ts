/*
 * What needs neither a Redis client nor a module of Node's: programs for edge runtimes are bundled with it.
 */
export { apiCalls, RefusedRequest } from './api/api-calls.ts';
export type { ApiCalls, Fetch } from './api/api-calls.ts';
export { ApiFault, faultOfFetch } from './api/api-calls.ts';
export type { ApiFaultCode } from './api/api-calls.ts';
export { apiOptionNames, readApiOptions } from './api/api-options.ts';
export type { ApiOptions, CheckedApiOptions } from './api/api-options.ts';
export { defaultActor } from './change.ts';
export { faultOf } from './fault.ts';
export { faultReporter, tell, thrownText } from './fault-reporter.ts';
export type { FaultReporter } from './fault-reporter.ts';
export { builtinModule, isCloudflareWorker, monotonicClock, unref, warn } from './platform.ts';
export { shardOf, shardTag } from './shard-of.ts';
