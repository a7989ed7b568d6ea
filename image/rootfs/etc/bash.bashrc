# For interactive Bash.
[ -z "${PS1-}" ] && return
shopt -s checkwinsize
PS1='\u@\h:\w\$ '
. /usr/share/basalt/completion.bash
