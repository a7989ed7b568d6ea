# Completion of basalt and of the other names it has, in Bash. Made to be sourced.
_basalt() {
    local found
    COMPREPLY=()
    while IFS= read -r found; do
        if [[ $found == :files ]]; then
            compopt -o filenames 2> /dev/null
            while IFS= read -r found; do
                COMPREPLY+=("$found")
            done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
        else
            # A folder of the API is not the end of the word.
            [[ $found == */ ]] && compopt -o nospace 2> /dev/null
            COMPREPLY+=("$found")
        fi
    done < <(basalt complete bash -- "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2> /dev/null)
}
complete -F _basalt basalt qm pct pvesh pvesm pveum pvenode pveversion man
