/** Called when the reading of a body ends: one of them, once, unless {@link WatchedBody.fail} came first. */
export interface BodyWatcher {
  /** It was read to its end, or the reader wanted no more of it. */
  ended(): void;
  failed(error: unknown): void;
}

/** A response whose body is watched while it streams. */
export interface WatchedBody {
  /** To be used instead of the one that was given. */
  readonly response: Response;
  /** Whether a reader waits for the next chunk: if so, the sender is slow, otherwise the reader is. */
  isAwaited(): boolean;
  /** Ends the body with an error, for its reader and for its sender. */
  fail(error: unknown): void;
}

/** A response that streams. */
export type ResponseWithBody = Response & { readonly body: ReadableStream<Uint8Array> };

/**
 * Whether a value is of a global class, or of one that it extends. A server may have put a class of its own in the place of
 * the global one, as @hono/node-server does with Request and Response: what fetch makes is of the class behind it.
 */
export function isOfGlobal<Instance>(value: unknown, global: new (...args: never[]) => Instance): value is Instance {
  for (
    let one: unknown = global;
    typeof one === 'function' && one.prototype !== undefined;
    one = Object.getPrototypeOf(one)
  ) {
    if (value instanceof one) return true;
  }
  return false;
}

/** Whether a result has a body that can be watched. Only a `Response` of this process' own fetch can be rebuilt around one. */
export function hasBody(result: unknown): result is ResponseWithBody {
  try {
    return isOfGlobal(result, Response) && result.body !== null && !result.bodyUsed && !result.body.locked;
  } catch {
    return false;
  }
}

/** Watches the body of `original`, which must not be used any more. Reads nothing before the reader asks. */
export function watchBody(original: ResponseWithBody, watcher: BodyWatcher): WatchedBody {
  const source = original.body.getReader();
  let awaited = false;
  let over = false;
  let toReader: ReadableStreamDefaultController<Uint8Array> | undefined;
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        toReader = controller;
      },
      async pull(controller) {
        awaited = true;
        try {
          const { done, value } = await source.read();
          if (over) return;
          if (done) {
            over = true;
            controller.close();
            watcher.ended();
          } else controller.enqueue(value);
        } catch (error) {
          if (over) return;
          over = true;
          controller.error(error);
          watcher.failed(error);
        } finally {
          awaited = false;
        }
      },
      async cancel(reason) {
        over = true;
        watcher.ended();
        await source.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  const fail = (error: unknown): void => {
    if (over) return;
    over = true;
    toReader?.error(error);
    void release(source, error);
  };
  return { response: rebuilt(original, body), isAwaited: () => awaited, fail };
}

/** Cancels the sender's stream. A failure is ignored: the stream is over. */
async function release(source: ReadableStreamDefaultReader<Uint8Array>, reason: unknown): Promise<void> {
  await source.cancel(reason).catch(() => undefined);
}

/** The same response around another body; what the constructor doesn't take is set by hand. */
function rebuilt(original: Response, body: ReadableStream<Uint8Array>): Response {
  const { status, statusText, headers, url, redirected, type } = original;
  const response = new Response(body, { status, statusText, headers });
  return Object.defineProperties(response, {
    url: { value: url },
    redirected: { value: redirected },
    type: { value: type },
  });
}
