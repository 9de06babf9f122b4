import { guard } from '@spillway/limiter/http';

export function withRateLimit(options, handler) {
  return async (request, ...rest) => {
    const result = await guard(request, options);
    if (result.kind === 'refused') return result.response;
    const answer = await handler(request, ...rest);
    for (const [name, value] of Object.entries(result.headers)) answer.headers.set(name, value);
    return answer;
  };
}
