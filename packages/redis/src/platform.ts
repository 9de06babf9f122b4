/*
 * What differs between Node, Deno, Bun and edge runtimes, which have no `process`. Nothing that decides imports a module of
 * Node's: a bundle for an edge runtime could not be loaded.
 */

import type * as nodeCrypto from 'node:crypto';
import type * as http from 'node:http';
import type * as os from 'node:os';

/** Absent on edge runtimes. */
const node: NodeJS.Process | undefined = globalThis.process;

/**
 * The monotonic clock, in ms, for what is decided without a round trip. On Node the global `performance` is a getter: asking it
 * each time took 5 % of a refusal by the deny cache.
 */
export const monotonicClock: { now(): number } = globalThis.performance;

/** What `process.getBuiltinModule` can give that is used here. */
interface Builtins {
  readonly 'node:crypto': typeof nodeCrypto;
  readonly 'node:http': typeof http;
  readonly 'node:os': typeof os;
}

/** A module of Node's, where there is one. */
export function builtinModule<Name extends keyof Builtins>(name: Name): Builtins[Name] | undefined {
  return node?.getBuiltinModule?.(name);
}

/** Warns: by the process, or on the console of a runtime that has none. */
export function warn(message: string, options: { readonly type?: string; readonly code?: string } = {}): void {
  if (typeof node?.emitWarning === 'function') {
    node.emitWarning(message, { type: 'SpillwayWarning', ...options });
    return;
  }
  // oxlint-disable-next-line no-console -- the only place to say it where no process is
  console.warn(`SpillwayWarning: ${message}`);
}

/** Lets the process end while a timer runs, where a timer can hold it. */
export function unref(timer: unknown): void {
  if (typeof timer === 'object' && timer !== null && 'unref' in timer && typeof timer.unref === 'function')
    timer.unref();
}

/** How the program was started: its runtime and its file. */
export function programArguments(): readonly string[] {
  return node?.argv ?? [];
}

/** On Cloudflare Workers a timer ends with the request that began it, and no promise of one request can be settled by another's trip. */
export const isCloudflareWorker: boolean = userAgent() === 'Cloudflare-Workers';

function userAgent(): unknown {
  const navigator: unknown = Reflect.get(globalThis, 'navigator');
  return typeof navigator === 'object' && navigator !== null ? Reflect.get(navigator, 'userAgent') : undefined;
}
