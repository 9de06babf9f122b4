import type { ApiApp } from './api-app.ts';

/** The OpenAPI 3.1 document of all routes that the application has by now. */
export function openApiDocument(app: ApiApp): object {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Spillway',
      version: '1',
      description:
        'Rate limits, circuit breakers and their audit trail. Every answer from 400 on is a problem document (RFC 9457).',
      license: { name: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: [
      { name: 'limits', description: 'Decisions about subjects.' },
      { name: 'policies', description: 'Rules, and exceptions from them.' },
      { name: 'breakers', description: 'Circuit breakers across the fleet.' },
      { name: 'audit', description: 'The trail in Postgres.' },
      { name: 'metrics', description: 'Samples and their statistics.' },
      { name: 'maintenance', description: 'What cron calls.' },
      { name: 'keys', description: 'Who may use this API.' },
      { name: 'health', description: 'What a load balancer asks.' },
    ],
  });
}

/** Registers the authentication schemes. */
export function describeSecurity(app: ApiApp): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'key', {
    type: 'http',
    scheme: 'bearer',
    description: `An API key (\`sw_…\`), or a JWT where the operator has configured an issuer, whose \`scope\` names these with the
prefix \`spillway:\`. Each route says which scope it needs. \`decide\`: decisions. \`read\`: the trail, policies, breakers and metrics.
\`metrics\`: recording samples. \`operate\`: blocks, resets, overrides, lists, breakers. \`maintain\`: maintenance jobs.
\`admin\`: everything, policies and keys included.`,
  });
}
