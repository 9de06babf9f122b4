import type { Queryable } from '@spillway/db';
import type { Limiter } from '@spillway/limiter';
import { byApiKey } from '@spillway/limiter/http';
import { rateLimit } from '@spillway/limiter/hono';
import { Hono } from 'hono';

/** What the application is built on. */
export interface AppOptions {
  readonly limiter: Limiter;
  readonly db: Queryable;
  /** Has the provider generate. Rejects when it can't. */
  readonly generate: (user: string) => Promise<string>;
}

const saveGeneration = `
  INSERT INTO public.generations (user_id, provider, status, result_url, started_at, finished_at)
  VALUES ($1, 'runware', 'completed', $2, now(), now())`;

/** An application as the guide has it: generations behind the `generation` tier, reads behind `standard`, sign-ins behind `auth`. */
export function createApp({ limiter, db, generate }: AppOptions): Hono {
  const app = new Hono();
  // Only the load generator calls, and each of its users has a key.
  const identify = byApiKey({ verify: () => true });
  app.use('/functions/v1/*', rateLimit({ limiter, identify, policy: 'generation', action: 'generate-content' }));
  app.use('/api/*', rateLimit({ limiter, identify, policy: 'standard' }));
  app.use('/auth/*', rateLimit({ limiter, identify, policy: 'auth', action: 'sign-in' }));

  app.post('/functions/v1/generate-content', async (context) => {
    const user = context.req.header('X-API-Key') ?? '';
    const url = await generate(user);
    await db.query(saveGeneration, [user, url]);
    return context.json({ url });
  });
  app.get('/api/projects', (context) => context.json({ projects: [{ title: 'How a spillway works' }] }));
  app.post('/auth/sign-in', (context) => context.json({ signedIn: true }));
  return app;
}
