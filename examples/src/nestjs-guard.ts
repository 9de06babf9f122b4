/*
 * A NestJS application whose controllers name their policies by a decorator.
 *
 *     REDIS_URL=redis://127.0.0.1:6379 PORT=3000 node examples/dist/nestjs-guard.js
 *     curl -i localhost:3000/articles
 */
import { once } from 'node:events';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  HttpCode,
  HttpException,
  Inject,
  Module,
  type OnApplicationShutdown,
  Post,
  SetMetadata,
} from '@nestjs/common';
import { APP_GUARD, NestFactory, Reflector } from '@nestjs/core';
import { createLimiter, definePolicy, type Limiter, tiers } from '@spillway/limiter';
import { rateLimit, type RateLimitMiddleware } from '@spillway/limiter/express';
import type { Request, Response } from 'express';

const { REDIS_URL = 'redis://127.0.0.1:6379', PORT = '3000' } = process.env;
const exports = definePolicy({ name: 'exports', limit: 3, windowMs: 10_000 });

const LIMITER = Symbol('limiter');
const POLICY = 'spillway:policy';

/** Names the policy of a controller or of a handler, which wins. Without one it is `standard`. */
const RateLimit = (policy: string) => SetMetadata(POLICY, policy);

class RateLimitGuard implements CanActivate {
  readonly #reflector: Reflector;
  readonly #limit: RateLimitMiddleware<Request>;
  readonly #policies = new WeakMap<Request, string>();

  constructor(@Inject(LIMITER) limiter: Limiter, @Inject(Reflector) reflector: Reflector) {
    this.#reflector = reflector;
    this.#limit = rateLimit<Request>({
      limiter,
      policy: (request) => this.#policies.get(request) ?? 'standard',
      // Status and headers are set already. Exception filters see the refusal like any other.
      onRefused: (_request, _response, next, { problem }) => next(new HttpException({ ...problem }, problem.status)),
    });
  }

  canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<Request>();
    const policy = this.#reflector.getAllAndOverride<string | undefined>(POLICY, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (policy !== undefined) this.#policies.set(request, policy);
    return new Promise((resolve, reject) => {
      void this.#limit(request, http.getResponse<Response>(), (error) =>
        error === undefined ? resolve(true) : reject(error),
      );
    });
  }
}

@Controller()
class Articles {
  @Get('articles')
  list(): readonly object[] {
    return [{ title: 'How a spillway works' }];
  }

  @Post('exports')
  @HttpCode(202)
  @RateLimit('exports')
  export(): object {
    return { state: 'queued' };
  }
}

@Module({
  controllers: [Articles],
  providers: [
    { provide: LIMITER, useFactory: () => createLimiter({ redis: REDIS_URL, policies: [...tiers, exports] }) },
    { provide: APP_GUARD, useClass: RateLimitGuard },
  ],
})
class App implements OnApplicationShutdown {
  readonly #limiter: Limiter;

  constructor(@Inject(LIMITER) limiter: Limiter) {
    this.#limiter = limiter;
  }

  onApplicationShutdown(): Promise<void> {
    return this.#limiter.close();
  }
}

const app = await NestFactory.create(App, { logger: ['error', 'warn'] });
await app.listen(Number(PORT), '127.0.0.1');
process.stdout.write(`listening on ${await app.getUrl()}\n`);

await once(process, 'SIGTERM');
await app.close();
