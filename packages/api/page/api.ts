/** What the server said to something that the page asked for. */
export type Answer<Data = unknown> =
  | { readonly ok: true; readonly data: Data }
  | { readonly ok: false; readonly status: number; readonly reason: string };

/**
 * Asks the API that served the page, with JSON if there is a body; `data` is the JSON of the answer, undefined where it has none.
 * Never rejects: a network failure is an answer with status 0.
 */
export async function send<Data = unknown>(
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<Answer<Data>> {
  try {
    const response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) return { ok: false, status: response.status, reason: await reasonOf(response) };
    const text = await response.text();
    return { ok: true, data: text === '' ? undefined : JSON.parse(text) };
  } catch {
    return { ok: false, status: 0, reason: 'The server cannot be reached.' };
  }
}

/** The detail of a problem document, or its title. */
async function reasonOf(response: Response): Promise<string> {
  try {
    const problem: unknown = await response.json();
    if (typeof problem === 'object' && problem !== null) {
      if ('detail' in problem && typeof problem.detail === 'string') return problem.detail;
      if ('title' in problem && typeof problem.title === 'string') return problem.title;
    }
  } catch {
    // Not JSON: the status says enough.
  }
  return `The server answered ${response.status}.`;
}
