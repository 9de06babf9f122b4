import { maskSecrets } from '../mask.ts';
import { textMember } from './read.ts';

const MAX_CAUSES = 3;

/**
 * What to store of something thrown: its message and those of its causes (`fetch failed` says nothing, its cause says
 * ECONNREFUSED), masked and truncated. Never throws, whatever was thrown.
 */
export function errorText(error: unknown): string {
  try {
    return maskSecrets(texts(error).join(': '));
  } catch {
    return 'an error whose message can not be read';
  }
}

function texts(error: unknown): string[] {
  const found = [textOf(error)];
  let cause = causeOf(error);
  for (let depth = 0; depth < MAX_CAUSES && cause !== undefined; depth += 1) {
    found.push(textOf(cause));
    cause = causeOf(cause);
  }
  return found.filter((text) => text !== '');
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

function textOf(error: unknown): string {
  if (typeof error === 'string') return error;
  if (!(error instanceof Error)) return textMember(error, 'message') || (JSON.stringify(error) ?? typeof error);
  // An AggregateError, as of a connection tried on several addresses, has its text in the errors it holds.
  if (error.message === '' && error instanceof AggregateError) return error.errors.map(textOf).join(', ');
  return error.message === '' ? error.name : error.message;
}
