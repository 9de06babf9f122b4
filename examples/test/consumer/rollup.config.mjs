import commonjs from '@rollup/plugin-commonjs';
import json from '@rollup/plugin-json';
import nodeResolve from '@rollup/plugin-node-resolve';

// oxlint-disable-next-line import/no-default-export
export default {
  input: 'app.mjs',
  plugins: [nodeResolve({ preferBuiltins: true }), commonjs(), json()],
  output: { file: 'out/rollup.mjs', format: 'es' },
};
