import { warn } from '@spillway/redis/core';
import { CallTimeoutError } from '../errors.ts';
import { errorText, isInstance, textMember } from '../outcome/error-text.ts';
import { hasBody, isOfGlobal, type ResponseWithBody, watchBody, type WatchedBody } from './body.ts';
import {
  type Abortable,
  type Deadlines,
  deadlinesOf,
  type Expiring,
  followSignal,
  unfollowSignal,
} from './deadlines.ts';

/** What a timeout counts: until the promise settles, or until a response's body has been read too. */
export type TimeoutScope = 'headers' | 'body';

/** Called when a call ends: one of them, exactly once, before the caller's promise settles. If it throws, the process gets a warning. */
export interface CallObserver {
  /** @param value what the function's promise resolved to; where the body is covered too, after its end */
  resolved(value: unknown): void;
  /** @param callerAborted whether the signal that the caller passed had fired, and not because its time was up */
  rejected(error: unknown, callerAborted: boolean): void;
}

/** Options of {@link callWithTimeout}. */
export interface CallOptions {
  /** In ms; `Infinity`: it may take any time. */
  readonly timeoutMs: number;
  /** The caller's own signal. */
  readonly signal?: AbortSignal | undefined;
  /** @default 'headers' */
  readonly timeoutScope?: TimeoutScope | undefined;
  /** May be shared between calls. */
  readonly observer?: CallObserver | undefined;
}

/** What is called; it may take the signal or not. */
export type Callable<T> = (signal: AbortSignal) => PromiseLike<T> | T;

/**
 * Calls `fn`, and settles within `timeoutMs` whatever it does: also when it hangs and ignores its signal. The signal that
 * `fn` gets aborts with the {@link CallTimeoutError} when time is up and with the caller's reason when the caller aborts.
 *
 * Every function gets the signal, however it is written, bound or wrapped, but for one: an arrow function without
 * parameters (`() => …`) can't take it, and making a signal costs 2.5 µs, twenty times the rest. So a function that takes
 * something else first must be wrapped: `() => find(id)`, not `find`. A function that throws or returns no promise is
 * treated as `await` would.
 *
 * A caller's signal whose own time was up (`AbortSignal.timeout`) is no abort by the caller: the dependency was too slow.
 *
 * A timeout may come late, by 1/16 of its time or 200 ms at most, never early.
 *
 * With `timeoutScope: 'body'` the promise still settles with the headers, and the body goes on being watched: it errors when
 * time is up while its reader waits. A body without a waiting reader is released, since then the reader is slow.
 * @throws {CallTimeoutError} through the promise.
 */
export function callWithTimeout<T>(
  fn: Callable<T>,
  { timeoutMs, signal, timeoutScope, observer }: CallOptions,
): Promise<T> {
  if (signal?.aborted === true) {
    observer?.rejected(signal.reason, true);
    return Promise.reject(signal.reason);
  }
  const deadlines = timeoutMs === Infinity ? undefined : deadlinesOf(timeoutMs);
  return new Promise<T>((resolve, reject) => {
    const call = new Call<T>(resolve, reject, deadlines, observer);
    if (deadlines === undefined) call.index = 0;
    else deadlines.add(call);
    if (signal !== undefined) call.follow(signal);
    if (timeoutScope === 'body') call.coverBody();
    call.start(fn);
  });
}

/** What few calls need. */
interface Extras {
  signal?: AbortSignal;
  controller?: AbortController;
  coversBody?: true;
  body?: WatchedBody;
}

/** One call under way. It has few fields, for it is made a hundred thousand times a second. */
class Call<T> implements Expiring, Abortable {
  /** Where it waits for its deadline, any number if it has none; -1 once it is over. */
  index = -1;
  since = 0;
  private extras: Extras | undefined = undefined;
  private readonly resolve: (value: T) => void;
  private readonly reject: (error: unknown) => void;
  private readonly deadlines: Deadlines | undefined;
  private readonly observer: CallObserver | undefined;

  constructor(
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
    deadlines: Deadlines | undefined,
    observer: CallObserver | undefined,
  ) {
    this.resolve = resolve;
    this.reject = reject;
    this.deadlines = deadlines;
    this.observer = observer;
  }

  follow(signal: AbortSignal): void {
    (this.extras ??= {}).signal = signal;
    followSignal(signal, this);
  }

  coverBody(): void {
    (this.extras ??= {}).coversBody = true;
  }

  start(fn: Callable<T>): void {
    try {
      const returned = takesNothing(fn) ? fn() : fn(this.makeSignal());
      const promise = isPromise(returned) ? returned : Promise.resolve(returned);
      promise.then(
        (value: T) => this.resolved(value),
        (error: unknown) => this.rejected(error),
      );
    } catch (error) {
      this.rejected(error);
    }
  }

  /** Time is up. */
  expire(timeoutMs: number): void {
    const body = this.extras?.body;
    if (body === undefined || body.isAwaited()) {
      this.fail(new CallTimeoutError(timeoutMs), false);
      return;
    }
    this.unfollow();
    this.tellResolved(body.response);
  }

  abort(reason: unknown): void {
    if (this.index === -1) return;
    this.end();
    this.fail(reason, !isTimeUp(reason));
  }

  private makeSignal(): AbortSignal {
    const controller = new AbortController();
    (this.extras ??= {}).controller = controller;
    return controller.signal;
  }

  private resolved(value: T): void {
    if (this.index === -1) return;
    if (this.extras !== undefined) {
      if (this.extras.coversBody === true && hasBody(value)) {
        this.resolveWatched(value);
        return;
      }
      this.unfollow();
    }
    this.end();
    this.tellResolved(value);
    this.resolve(value);
  }

  private resolveWatched(value: T & ResponseWithBody): void {
    try {
      const watched = this.watch(value);
      if (standsFor(watched, value)) this.resolve(watched);
    } catch (error) {
      this.rejected(error);
    }
  }

  private rejected(error: unknown): void {
    if (this.index === -1) return;
    this.end();
    const signal = this.extras?.signal;
    this.fail(error, signal?.aborted === true && !isTimeUp(signal.reason));
  }

  private end(): void {
    if (this.deadlines === undefined) this.index = -1;
    else this.deadlines.remove(this);
  }

  private tellResolved(value: unknown): void {
    try {
      this.observer?.resolved(value);
    } catch (error) {
      warnOf(error);
    }
  }

  private tellRejected(error: unknown, callerAborted: boolean): void {
    try {
      this.observer?.rejected(error, callerAborted);
    } catch (problem) {
      warnOf(problem);
    }
  }

  /** The call is over; what the function does afterwards is ignored. */
  private fail(error: unknown, callerAborted: boolean): void {
    this.unfollow();
    this.tellRejected(error, callerAborted);
    this.reject(error);
    this.extras?.body?.fail(error);
    this.extras?.controller?.abort(error);
  }

  private watch(original: ResponseWithBody): Response {
    const body = watchBody(original, {
      ended: () => {
        if (this.index === -1) return;
        this.unfollow();
        this.end();
        this.tellResolved(body.response);
      },
      failed: (error) => this.rejected(error),
    });
    (this.extras ??= {}).body = body;
    return body.response;
  }

  private unfollow(): void {
    const signal = this.extras?.signal;
    if (signal !== undefined) unfollowSignal(signal, this);
  }
}

const ARROW_WITHOUT_PARAMETERS = /^(?:async\s*)?\(\s*\)\s*=>/;

/** Looking at a function's source costs 60 ns; one that is called again and again is looked at once. */
let lastArrow: unknown;

/** Of the functions of length 0 only an arrow function has neither rest or default parameters nor `arguments`. */
function takesNothing<T>(fn: Callable<T>): fn is () => PromiseLike<T> | T {
  if (fn === lastArrow) return true;
  if (fn.length > 0 || !ARROW_WITHOUT_PARAMETERS.test(Function.prototype.toString.call(fn))) return false;
  lastArrow = fn;
  return true;
}

function isPromise<T>(value: PromiseLike<T> | T): value is Promise<T> {
  return isInstance(value, Promise);
}

/** Whether a signal fired because its time was up, and not by a call of `abort()`. */
export function isTimeUp(reason: unknown): boolean {
  return textMember(reason, 'name') === 'TimeoutError';
}

function warnOf(error: unknown): void {
  warn(`an observer of a call threw: ${errorText(error)}`);
}

/** Where a Response was promised, one that was rebuilt around its body will do. */
function standsFor<T>(copy: unknown, original: T): copy is T {
  return isOfGlobal(copy, Response) && isOfGlobal(original, Response);
}
