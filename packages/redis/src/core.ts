/*
 * What needs neither a Redis client nor a module of Node's: programs for edge runtimes are bundled with it.
 */
export { defaultActor } from './change.ts';
export { faultOf } from './fault.ts';
export { faultReporter } from './fault-reporter.ts';
export type { FaultReporter } from './fault-reporter.ts';
export { builtinModule, unref, warn } from './platform.ts';
export { shardOf, shardTag } from './shard-of.ts';
