#compdef basalt qm pct pvesh pvesm pveum pvenode pveversion
# Completion of basalt and of the other names it has, in the Z shell: a function for fpath, or sourced.
_basalt() {
    local word about
    local -a found folders
    while IFS=$'\t' read -r word about; do
        if [[ $word == :files ]]; then
            _files
        elif [[ $word == */ ]]; then
            folders+=("$word")
        else
            found+=("${word//:/\\:}:$about")
        fi
    done < <(basalt complete zsh -- "${(@Q)words[1,CURRENT]}" 2> /dev/null)
    (( $#folders )) && compadd -S '' -- "${folders[@]}"
    (( $#found )) && _describe -t values value found
    return 0
}
if [[ $funcstack[1] == _basalt ]]; then
    _basalt "$@"
else
    compdef _basalt basalt qm pct pvesh pvesm pveum pvenode pveversion
fi
