import { badRequestProblem } from './problems.ts';

/** Either what the body says, or the 4xx answer to send. */
export type JsonBody =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'invalid'; readonly response: Response };

/** `application/json` and everything that ends in `+json`, with or without parameters. */
const jsonType = /^\s*application\/(?:[\w.-]+\+)?json\s*(?:;|$)/iu;

/** Reads a JSON body. Its size must be bounded already. Never rejects. */
export async function readJson(request: Request): Promise<JsonBody> {
  const type = request.headers.get('content-type');
  if (type === null) return invalid('Content-Type', 'is missing: it must be application/json');
  if (!jsonType.test(type)) return invalid('Content-Type', 'must be application/json', 415);

  let bytes: ArrayBuffer;
  try {
    bytes = await request.arrayBuffer();
  } catch {
    return invalid('body', 'ended before it was complete');
  }
  if (bytes.byteLength === 0) return invalid('body', 'is missing');
  try {
    // Fatal: replacement characters would make different subjects the same.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return { kind: 'json', value: JSON.parse(text) };
  } catch (error) {
    return invalid('body', error instanceof SyntaxError ? 'is not valid JSON' : 'is not valid UTF-8');
  }
}

function invalid(field: string, detail: string, status: 400 | 415 = 400): JsonBody {
  return { kind: 'invalid', response: badRequestProblem([{ field, detail }], status) };
}
