import { vi } from 'vitest';

/** What is written to standard error meanwhile, as if that were a terminal. */
export async function toldOnTerminal(work: () => Promise<unknown>): Promise<string> {
  const { isTTY, columns } = process.stderr;
  const told: string[] = [];
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    told.push(String(text));
    return true;
  });
  Object.assign(process.stderr, { isTTY: true, columns: 120 });
  try {
    await work();
  } finally {
    write.mockRestore();
    Object.assign(process.stderr, { isTTY, columns });
  }
  return told.join('');
}
