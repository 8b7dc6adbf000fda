export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** Stands for the folders of the file system among the words that may come next. */
export const FOLDER = '<folder>';

/** What a script knows. */
export interface CompletionModel {
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  /**
   * What may come next, by what stands before: the command and its arguments without options, or the command and the
   * option that waits for its value; `-` where an option has been begun, `*` for any argument.
   */
  readonly next: ReadonlyMap<string, readonly string[]>;
  /** The options that take a value. */
  readonly valued: readonly string[];
}

/**
 * The script of each shell; all of them look up what may come next in the same way. They hold every word themselves,
 * because starting Node.js at each Tab would be felt.
 */
export const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], (model: CompletionModel) => string>> = {
  bash: (model) => `# Completes jetledger in bash.
_jetledger() {
  local cur=\${COMP_WORDS[COMP_CWORD]} line='' option='' word found=''
  # Bash makes a word of its own out of an equals sign.
  [[ $cur == '=' ]] && cur=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == '=' ]] && continue
    ${wordCase(model)}
  done
  ${lookUp(model, 'compopt -o dirnames 2> /dev/null')}
  COMPREPLY=($(compgen -W "$found" -- "$cur"))
}
complete -F _jetledger jetledger`,

  zsh: (model) => `#compdef jetledger
# Completes jetledger in zsh.
_jetledger() {
  local cur=$PREFIX line='' option='' word found=''
  for word in "\${(@)words[2,CURRENT-1]}"; do
    ${wordCase(model)}
  done
  if [[ $cur == --*=* ]]; then
    option=\${cur%%=*}
    compset -P '*='
  fi
  local -a commands
  commands=(${model.commands.map(({ name, summary }) => `\n    ${quoted(`${name}:${summary}`)}`).join('')}
  )
  ${lookUp(model, '_path_files -/')}
  if [[ -z $line ]]; then _describe command commands; else compadd -- \${=found}; fi
}
if [[ \${funcstack[1]} == _jetledger ]]; then _jetledger "$@"; else compdef _jetledger jetledger; fi`,

  fish: ({ commands, next, valued }) => `# Completes jetledger in fish.
function __jetledger_words
    set -l line
    set -l option
    for word in (commandline -opc)[2..-1]
        if set -q option[1]
            set -e option
        else if contains -- $word ${valued.join(' ')}
            set option $word
        else if not string match -q -- '-*' $word
            set -a line $word
        end
    end
    if set -q option[1]
        set line $line[1] $option
    else if string match -q -- '-*' (commandline -ct)
        set line "$line[1]" -
    end
    switch "$line"
${[...next].map(([before, words]) => `        case ${quoted(before)}\n            ${fishWords(before, words, commands)}`).join('\n')}
    end
end
complete -c jetledger -f -a '(__jetledger_words)'`,
};

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Takes a word that stands before the cursor into account. */
const wordCase = ({ valued }: CompletionModel): string => `if [[ $option ]]; then
      option=''
    else
      case $word in
        ${valued.join(' | ')}) option=$word ;;
        -*) ;;
        *) line+="\${line:+ }$word" ;;
      esac
    fi`;

function lookUp({ next }: CompletionModel, folders: string): string {
  const cases = [...next].map(([before, words]) => {
    const pattern = before.endsWith('*') ? `${quoted(before.slice(0, -1))}*` : quoted(before);
    return `    ${pattern}) ${words.includes(FOLDER) ? folders : `found=${quoted(words.join(' '))}`} ;;`;
  });
  return `if [[ $option ]]; then
    line="\${line%% *} $option"
  elif [[ $cur == -* ]]; then
    line="\${line%% *} -"
  fi
  case $line in
${cases.join('\n')}
  esac`;
}

function fishWords(before: string, words: readonly string[], commands: CompletionModel['commands']): string {
  if (words.includes(FOLDER)) return '__fish_complete_directories (commandline -ct)';
  if (words.length === 0) return 'true';
  const isCommand = before === '' || before === 'help';
  const told = words.map((word) => {
    const summary = isCommand ? commands.find(({ name }) => name === word)?.summary : undefined;
    return quoted(summary === undefined ? word : `${word}\t${summary}`);
  });
  return `printf '%s\\n' ${told.join(' ')}`;
}
