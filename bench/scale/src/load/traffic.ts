import { auth, generation, standard } from '@spillway/limiter';
import type { LimitRule } from '../ledger/limit-oracle.ts';

/** What a user can ask for. The numbers index {@link kinds}. */
export const GENERATE = 0;
export const READ = 1;
export const SIGN_IN = 2;

/** One of {@link GENERATE}, {@link READ}, {@link SIGN_IN}. */
export type Kind = 0 | 1 | 2;

/** A kind of request, the tier that limits it, and the action that its blocks are recorded under. */
export interface KindOfRequest {
  readonly title: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly tier: string;
  readonly action: string;
  readonly rule: LimitRule;
}

/** The kinds of requests, in the order of their numbers. */
export const kinds: readonly [KindOfRequest, KindOfRequest, KindOfRequest] = [
  {
    title: 'generations',
    method: 'POST',
    path: '/functions/v1/generate-content',
    tier: generation.name,
    action: 'generate-content',
    rule: generation,
  },
  { title: 'reads', method: 'GET', path: '/api/projects', tier: standard.name, action: 'default', rule: standard },
  { title: 'sign-ins', method: 'POST', path: '/auth/sign-in', tier: auth.name, action: 'sign-in', rule: auth },
];

/** The API key of a user. */
export function apiKeyOf(user: number): string {
  return `user-${user}`;
}

/** What a request looks like on the wire: the same bytes each time. */
export function requestText(kind: Kind, user: number): string {
  const { method, path } = kinds[kind];
  const body = method === 'POST' ? 'Content-Length: 0\r\n' : '';
  return `${method} ${path} HTTP/1.1\r\nHost: api\r\nX-API-Key: ${apiKeyOf(user)}\r\n${body}\r\n`;
}
