import type { MiddlewareHandler } from 'hono';
import { badRequestProblem } from './problems.ts';

/** `application/json`, with or without a suffix and parameters. */
const jsonType = /^\s*application\/(?:[\w.-]+\+)?json\s*(?:;|$)/iu;

/** Whether a route does without a body. */
export interface ReadBodyOptions {
  /** An absent or empty body counts as `{}`. @default false */
  readonly optional?: boolean;
}

/**
 * Reads a JSON body before the route's schema sees it, and answers in our words to what is no JSON. Its size must be
 * bounded already.
 */
export function readBody({ optional = false }: ReadBodyOptions = {}): MiddlewareHandler {
  return async ({ req }, next) => {
    const type = req.header('Content-Type');
    if (type === undefined && !optional) return refuse('Content-Type', 'is missing: it must be application/json');
    if (type !== undefined && !jsonType.test(type)) return refuse('Content-Type', 'must be application/json', 415);

    let bytes: ArrayBuffer;
    try {
      bytes = await req.arrayBuffer();
    } catch {
      return refuse('body', 'ended before it was complete');
    }
    if (bytes.byteLength === 0 && !optional) return refuse('body', 'is missing');
    if (bytes.byteLength > 0 && type === undefined)
      return refuse('Content-Type', 'is missing: it must be application/json');
    const text = decode(bytes);
    if (text === undefined) return refuse('body', 'is not valid UTF-8');
    if (text !== '' && !isJson(text)) return refuse('body', 'is not valid JSON');
    // Where the schema's validator looks first. Hono keeps promises here, whatever its types say.
    Reflect.set(req.bodyCache, 'text', Promise.resolve(text === '' ? '{}' : text));
    await next();
    return undefined;
  };
}

/** Fatal: replacement characters would make different subjects the same. */
function decode(bytes: ArrayBuffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function refuse(field: string, detail: string, status: 400 | 415 = 400): Response {
  return badRequestProblem([{ field, detail }], status);
}
