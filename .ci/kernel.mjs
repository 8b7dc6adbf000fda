// The kernel as a package: its doors, and what the compiler makes of them. For pack-kernel.mjs and public-api.mjs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** The package's manifest, and its doors: by the name that a user imports, the source file. */
export function kernelOf(root) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const doors = Object.entries(manifest.exports)
    .filter(([, target]) => target.endsWith('.js'))
    .map(([path, target]) => ({
      name: path.replace('.', manifest.name),
      source: join(root, target.replace('./dist/', 'src/').replace(/\.js$/, '.ts')),
      target,
    }));
  return { manifest, doors };
}

/**
 * Compiles the doors and all that they import.
 * @param write gets the path of each file relative to `dist`, and its text
 * @throws Error with what the compiler says
 */
export function compile(root, doors, options, write) {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const parsed = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root);
  const out = join(root, 'dist');
  const program = ts.createProgram({
    rootNames: doors.map(({ source }) => source),
    options: {
      ...parsed.options,
      // Whether the types fit is another check's business, which takes longer.
      ...{
        noEmit: false,
        incremental: false,
        noCheck: true,
        declaration: true,
        rootDir: join(root, 'src'),
        outDir: out,
      },
      ...options,
    },
  });
  delete program.getCompilerOptions().tsBuildInfoFile;
  const emitted = program.emit(undefined, (path, text) => write(path.slice(out.length + 1), text));
  const problems = [...program.getSyntacticDiagnostics(), ...emitted.diagnostics];
  if (problems.length === 0) return;
  const host = {
    getCurrentDirectory: () => root,
    getCanonicalFileName: (name) => name,
    getNewLine: () => '\n',
  };
  throw new Error(ts.formatDiagnostics(problems, host));
}
