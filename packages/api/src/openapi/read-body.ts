import type { HonoRequest, MiddlewareHandler } from 'hono';
import { duplicateName } from './duplicate-names.ts';
import { quoted } from './fields.ts';
import { fieldProblem, problemException, tooLargeProblem, badRequestProblem } from '../problems.ts';

/** The largest request body, in bytes: a batch of decisions about long subjects fits. */
export const MAX_BODY_BYTES: number = 256 * 1024;

/** `application/json`, with or without a suffix and parameters. */
const jsonType = /^\s*application\/(?:[\w.-]+\+)?json\s*(?:;|$)/iu;

/** A character set that is not UTF-8, which JSON is in (RFC 8259); ASCII is part of it. */
const otherCharset = /;\s*charset\s*=(?!\s*"?(?:utf-?8|us-ascii)"?\s*(?:;|$))/iu;

/** Whether a route does without a body. */
interface ReadBodyOptions {
  /** An absent or empty body counts as `{}`. @default false */
  readonly optional?: boolean;
  /** The largest body, in bytes. @default 262144 */
  readonly maxBytes?: number;
}

/** A body that was read, or the refusal. */
type ReadJson = { readonly text: string; readonly value: unknown } | Response;

/**
 * Reads a JSON body before the route's schema sees it, and answers in our words to what is too large or no JSON. One that was
 * read before, by a route with another bound, is left as it is.
 */
export function readBody(options: ReadBodyOptions = {}): MiddlewareHandler {
  return async ({ req }, next) => {
    if (req.bodyCache.text === undefined) {
      const read = await readJson(req, options);
      if (read instanceof Response) return read;
      // Where the schema's validator looks first. Hono keeps promises here, whatever its types say.
      Reflect.set(req.bodyCache, 'text', Promise.resolve(read.text));
    }
    await next();
    return undefined;
  };
}

/** The JSON of a request's body, or the problem document that says what is wrong with it. */
export async function readJson(
  req: HonoRequest,
  { optional = false, maxBytes = MAX_BODY_BYTES }: ReadBodyOptions = {},
): Promise<ReadJson> {
  const type = req.header('Content-Type');
  if (type === undefined && !optional) return refuse('Content-Type', 'is missing: it must be application/json');
  if (type !== undefined && !jsonType.test(type)) return refuse('Content-Type', 'must be application/json', 'not-json');
  if (type !== undefined && otherCharset.test(type)) return refuse('Content-Type', 'must be JSON in UTF-8', 'not-json');

  const coding = req.header('Content-Encoding');
  if (coding !== undefined && !/^\s*(?:identity)?\s*$/iu.test(coding)) {
    return refuse('Content-Encoding', 'must be absent: the body must not be compressed', 'not-json');
  }
  let bytes: ArrayBuffer | Uint8Array | undefined;
  try {
    bytes = await collect(req, maxBytes);
  } catch {
    return refuse('body', 'ended before it was complete');
  }
  if (bytes === undefined) return tooLargeProblem(maxBytes);
  if (bytes.byteLength === 0) return optional ? { text: '{}', value: {} } : refuse('body', 'is missing');
  if (type === undefined) return refuse('Content-Type', 'is missing: it must be application/json');
  const text = decode(bytes);
  if (text === undefined) return refuse('body', 'is not valid UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse('body', 'is not valid JSON');
  }
  const twice = duplicateName(text, value);
  return twice === undefined ? { text, value } : refuse(quoted(twice), 'occurs more than once');
}

/** All of the body; undefined when it is larger than `maxBytes`, and then no more of it than that was kept. */
async function collect(req: HonoRequest, maxBytes: number): Promise<ArrayBuffer | Uint8Array | undefined> {
  const declared = declaredLength(req.header('Content-Length'));
  if (declared !== undefined) return declared > maxBytes ? undefined : req.arrayBuffer();
  if (req.raw.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of req.raw.body) {
    total += chunk.byteLength;
    // Leaving the loop cancels the stream.
    if (total > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What `Content-Length` says, which the HTTP parser holds the client to; undefined for a body in chunks. */
function declaredLength(header: string | undefined): number | undefined {
  return header === undefined || !/^\d+$/u.test(header) ? undefined : Number(header);
}

/**
 * A request whose body fails once more than {@link MAX_BODY_BYTES} of it were read, for handlers that read by themselves.
 * @throws {HTTPException} that becomes a 413, at once when the length was declared
 */
export function boundedRequest(request: Request): Request {
  if ((declaredLength(request.headers.get('Content-Length') ?? undefined) ?? 0) > MAX_BODY_BYTES) {
    throw problemException(tooLargeProblem(MAX_BODY_BYTES));
  }
  if (request.body === null) return request;
  let total = 0;
  const counting = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      total += chunk.byteLength;
      if (total > MAX_BODY_BYTES) controller.error(problemException(tooLargeProblem(MAX_BODY_BYTES)));
      else controller.enqueue(chunk);
    },
  });
  const body = request.body.pipeThrough(counting);
  return new Request(request, { method: request.method, body, duplex: 'half' });
}

/** Fatal: replacement characters would make different subjects the same. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

function decode(bytes: ArrayBuffer | Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function refuse(field: string, detail: string, name: 'invalid-request' | 'not-json' = 'invalid-request'): Response {
  return fieldProblem(name, field, detail);
}

/**
 * Where a change belongs, which a path says, and its body may say again: so that an answer of GET can be sent back.
 * @returns the place
 * @throws {HTTPException} that becomes a 400 when they differ
 */
export function samePlace<const Place extends Readonly<Record<string, string>>>(
  body: { readonly [Name in keyof Place]?: unknown },
  place: Place,
): Place {
  const errors = Object.keys(place)
    .filter((name) => body[name] !== undefined && body[name] !== place[name])
    .map((name) => ({ field: name, detail: 'must be absent or as in the path' }));
  if (errors.length > 0) throw problemException(badRequestProblem(errors));
  return place;
}
