const REPEAT_MS = 2_000;

/** Passes news on at a readable pace, and repeats the last line with the time gone by when there is none. */
export interface Progress {
  report(line: string): void;
  /** Ends the repeating. */
  stop(): void;
}

/**
 * A line at once when the topic changes, else every two seconds at most and at least.
 *
 * @param print gets each line
 * @param title put before each line
 */
export function pacedProgress(print: (line: string) => void, title: string): Progress {
  const startedAt = Date.now();
  let lastLine = '';
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    print(`${title}: ${lastLine} (${seconds} s)`);
  }, REPEAT_MS);
  return {
    report: (line) => {
      const sameTopic = topicOf(line) === topicOf(lastLine);
      lastLine = line;
      if (!sameTopic) print(`${title}: ${line}`);
    },
    stop: () => clearInterval(timer),
  };
}

// `downloading x: 3.1 of 6.2 MB` and `downloading x: 4.0 of 6.2 MB` are one topic.
function topicOf(line: string): string {
  return line.split(': ')[0] ?? '';
}
