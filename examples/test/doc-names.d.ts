/** What the blocks on the documentation's pages take for granted. */
import type { Breakers, Preset } from '@spillway/breaker';
import type { Limiter, RedisClient, tiers } from '@spillway/limiter';
import type { JwtClaims } from '@spillway/limiter/http';
import type { Response as ExpressResponse } from 'express';
import type { Hono } from 'hono';
import type { Redis } from 'ioredis';

declare global {
  const app: Hono;
  const breakers: Breakers;
  const search: Preset<'search'>;
  const limiter: Limiter<(typeof tiers)[number]['name']>;
  const redis: Redis & RedisClient;
  const redisUrl: string;
  const req: Request;
  const userId: string;
  const runwareApiUrl: string;
  const options: RequestInit;
  const response: ExpressResponse;
  const limitsKey: string;
  const breakersKey: string;
  const prompt: string;
  const cached: string;
  function verify(token: string): Promise<JwtClaims>;
  const Deno: { serve(handler: (req: Request) => Promise<Response>): unknown };
  function findPlan(user: string): Promise<'standard' | 'generation' | undefined>;
  function callProvider(prompt: string, signal?: AbortSignal): Promise<string>;
}
