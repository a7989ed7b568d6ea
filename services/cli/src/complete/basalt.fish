# Completion of basalt and of the other names it has, in fish. Made to be sourced.
function __basalt_complete
    set -l words (commandline -opc) (commandline -ct)
    for found in (basalt complete fish -- $words 2> /dev/null)
        if string match -q ':files*' -- $found
            __fish_complete_path (commandline -ct)
        else
            echo $found
        end
    end
end
for name in basalt qm pct pvesh pvesm pveum pvenode pveversion
    complete -c $name -f -a '(__basalt_complete)'
end
