/** What the server said to something that the page asked for. */
export type Answer = { readonly ok: true } | { readonly ok: false; readonly status: number; readonly reason: string };

/** Sends JSON to the API that served the page. Never rejects: a network failure is an answer with status 0. */
export async function send(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<Answer> {
  try {
    const response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (response.ok) return { ok: true };
    return { ok: false, status: response.status, reason: await reasonOf(response) };
  } catch {
    return { ok: false, status: 0, reason: 'The server can not be reached.' };
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
