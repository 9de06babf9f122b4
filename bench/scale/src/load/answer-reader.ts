/** An answer, or why what came is none. */
export type Read =
  | { readonly kind: 'answer'; readonly status: number }
  | { readonly kind: 'garbled'; readonly problem: string };

/**
 * Reads HTTP/1.1 answers from a connection that has one request under way at a time: only the status matters, and where
 * the answer ends. Written by hand because ten thousand clients of a library cost the load generator more CPU than the
 * API has left. Understands bodies with a `Content-Length`, which all routes here have.
 */
export class AnswerReader {
  #text = '';

  /** Takes what came in; gives the status when the answer is complete, or the problem when it can't be read. */
  push(chunk: Buffer): Read | undefined {
    // Latin-1: a character is a byte, so lengths agree whatever the body holds.
    this.#text = this.#text === '' ? chunk.toString('latin1') : this.#text + chunk.toString('latin1');
    const head = this.#text.indexOf('\r\n\r\n');
    if (head < 0) return undefined;
    const length = contentLength(this.#text, head);
    if (length === undefined) return garbled('an answer without Content-Length', this.#text.slice(0, head));
    const end = head + 4 + length;
    if (this.#text.length < end) return undefined;
    if (this.#text.length > end) return garbled('more than was asked for', this.#text.slice(end, end + 200));
    const status = Number(this.#text.slice(9, 12));
    this.#text = '';
    return { kind: 'answer', status };
  }

  /** Forgets half an answer: the connection is a new one. */
  reset(): void {
    this.#text = '';
  }
}

const LENGTH = /\r\ncontent-length: *(\d+)/i;

function contentLength(text: string, head: number): number | undefined {
  const match = LENGTH.exec(text);
  return match === null || match.index > head ? undefined : Number(match[1]);
}

function garbled(problem: string, text: string): Read {
  return { kind: 'garbled', problem: `${problem}: ${JSON.stringify(text)}` };
}
