# Completion of nightjar for bash, made by: nightjar completion bash
_nightjar()
{
	local current=${COMP_WORDS[COMP_CWORD]} words=
	local typed="${COMP_WORDS[*]:1:COMP_CWORD-1}"
	case $typed in
	'') words='dev alerts nodes record replay certs doctor completion --help --version' ;;
	'alerts') words='list get watch' ;;
	'nodes') words='get' ;;
	'certs') words='init issue show' ;;
	'completion') words='bash' ;;
	'dev'*) words='--json --alerts --record --kafka --grpc --http --certs --rules --config --duration --run-dir --help' ;;
	'alerts list'*) words='--output --limit --since --severity --rule --namespace --workload --node --technique --server --server-name --ca --cert --key --run-dir --timeout --help' ;;
	'alerts get'*) words='--output --server --server-name --ca --cert --key --run-dir --timeout --help' ;;
	'alerts watch'*) words='--output --limit --severity --rule --namespace --workload --node --technique --server --server-name --ca --cert --key --run-dir --timeout --help' ;;
	'nodes get'*) words='--output --server --server-name --ca --cert --key --run-dir --timeout --help' ;;
	'nodes'*) words='--output --server --server-name --ca --cert --key --run-dir --timeout --help' ;;
	'record'*) words='--json --alerts --record --kafka --grpc --http --certs --rules --config --duration --run-dir --help' ;;
	'replay'*) words='--json --config --help' ;;
	'certs init'*) words='--dir --cluster --days --help' ;;
	'certs issue'*) words='--dir --cluster --namespace --role --node --hosts --days --help' ;;
	'certs show'*) words='--help' ;;
	'doctor'*) words='--output --kafka --server --server-name --ca --cert --key --run-dir --timeout --help' ;;
	'completion bash'*) words='--help' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _nightjar nightjar
