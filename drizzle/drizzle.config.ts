import { defineConfig } from 'drizzle-kit';

export default defineConfig({
  dialect: 'postgresql',
  schema: '../packages/db/src/schema/*.ts',
  out: './migrations',
  schemaFilter: ['public', 'archive', 'spillway'],
});
