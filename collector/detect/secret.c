/* The tables of secrets; see secret.h. A row that is wrong is a missed theft or a false alarm, so
 * each reader is there because it opens that file in its ordinary work. */
#include "collector/detect/secret.h"

#include <stdbool.h>
#include <string.h>

#define LIST(...)  ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define HOME(path) "/root/" path, "/home/*/" path

/* Service managers and debuggers of the system look at environments. */
#define ENVIRON_READERS                                                                            \
	"systemd", "systemd-logind", "systemd-coredump", "init", "crictl", "runc", "crun",         \
		"containerd", "dockerd", "needrestart", "apport", "sosreport"
/* ps opens every environment, whether it will print it or not. */
#define PROCESS_VIEWERS                                                                            \
	"ps", "top", "htop", "btop", "atop", "pgrep", "pkill", "pidof", "pstree", "lsof", "fuser", \
		"systemctl", "systemd-analyze", "systemd-cgls", "systemd-cgtop"
#define ACCOUNT_READERS                                                                            \
	"login", "su", "sudo", "sudo-rs", "doas", "passwd", "chpasswd", "chgpasswd", "chage",      \
		"chsh", "chfn", "gpasswd", "newusers", "useradd", "userdel", "usermod",            \
		"groupadd", "groupdel", "groupmod", "newgrp", "sg", "pwck", "grpck", "pwconv",     \
		"pwunconv", "grpconv", "grpunconv", "vipw", "vigr", "expiry", "faillog",           \
		"unix_chkpwd", "unix_update", "sshd", "sshd-session", "sshd-auth", "dropbear",     \
		"cron", "crond", "anacron", "atd", "agetty", "systemd", "systemd-executor",        \
		"systemd-sysusers", "systemd-userdbd", "systemd-userwork", "systemd-homed",        \
		"systemd-firstboot", "systemd-tmpfiles", "accounts-daemon",                        \
		"polkit-agent-helper-1", "gdm-session-worker", "lightdm", "sddm-helper",           \
		"xscreensaver-auth", "vsftpd", "proftpd", "saslauthd", "auth", "nscd", "sssd",     \
		"nslcd", "runuser", "pkexec", "adduser", "addgroup", "deluser", "cloud-init"
#define PACKAGE_MANAGERS                                                                           \
	"dpkg", "apt", "apt-get", "aptitude", "unattended-upgrade", "rpm", "dnf", "dnf5", "yum",   \
		"zypper", "apk", "pacman", "debootstrap", "mmdebstrap"
#define SSH_READERS                                                                                \
	"ssh", "ssh-add", "ssh-agent", "ssh-keygen", "ssh-keysign", "scp", "sftp",                 \
		"gnome-keyring-daemon", "gcr-ssh-agent"
#define KUBE_READERS                                                                               \
	"kubectl", "kubelet", "kubeadm", "helm", "k9s", "stern", "flux", "argocd", "kind",         \
		"minikube", "k3s", "kube-apiserver", "kube-controller-manager", "kube-scheduler",  \
		"kube-proxy", "crictl", "oc", "istioctl", "cilium", "velero", "skaffold", "tilt",  \
		"terraform"
#define CLOUD_READERS                                                                              \
	"aws", "aws_completer", "aws-iam-authenticator", "aws-vault", "eksctl", "sam", "gcloud",   \
		"gsutil", "bq", "gke-gcloud-auth-plugin", "az", "azcopy", "terraform", "tofu",     \
		"packer", "pulumi", "rclone", "amazon-ssm-agent", "docker-credential-ecr-login",   \
		"docker-credential-gcloud"
#define IMAGE_READERS                                                                              \
	"docker", "dockerd", "docker-compose", "docker-buildx", "buildctl", "buildkitd", "podman", \
		"buildah", "skopeo", "crane", "containerd", "nerdctl", "kubelet", "oras",          \
		"cosign", "helm", "kind", "docker-credential-pass",                                \
		"docker-credential-secretservice"

static const struct secret secrets[] = {
	{
		.name = "environ",
		.what = "the environment of another process",
		.severity = "high",
		.score = 0.75,
		.techniques = LIST("T1003.007"),
		.paths = LIST("/proc/*/environ", "/proc/*/task/*/environ"),
		.readers = LIST(ENVIRON_READERS),
		.viewers = LIST(PROCESS_VIEWERS),
		.lineages = LIST(),
	},
	{
		.name = "service_account_token",
		.what = "a Kubernetes service-account token",
		.severity = "high",
		.score = 0.8,
		.techniques = LIST("T1552.007", "T1528"),
		.paths = LIST("**/kubernetes.io/serviceaccount/token",
			      "**/kubernetes.io/serviceaccount/*/token",
			      "**/kubernetes.io~projected/*/token",
			      "**/kubernetes.io~projected/*/*/token"),
		.readers = LIST(KUBE_READERS),
		.lineages = LIST(),
	},
	{
		.name = "shadow",
		.what = "the password hashes of this system",
		.severity = "high",
		.score = 0.85,
		.techniques = LIST("T1003.008"),
		.paths = LIST("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-"),
		.readers = LIST(ACCOUNT_READERS),
		.lineages = LIST(PACKAGE_MANAGERS),
	},
	{
		.name = "ssh_key",
		.what = "a private ssh key",
		.severity = "high",
		.score = 0.8,
		.techniques = LIST("T1552.004"),
		.paths = LIST(HOME(".ssh/id_rsa"), HOME(".ssh/id_dsa"), HOME(".ssh/id_ecdsa"),
			      HOME(".ssh/id_ed25519"), HOME(".ssh/id_ecdsa_sk"),
			      HOME(".ssh/id_ed25519_sk"), HOME(".ssh/identity")),
		.readers = LIST(SSH_READERS),
		.lineages = LIST(),
	},
	{
		.name = "ssh_host_key",
		.what = "the private ssh key of this host",
		.severity = "high",
		.score = 0.8,
		.techniques = LIST("T1552.004"),
		.paths = LIST("/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key",
			      "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_dsa_key"),
		.readers = LIST("sshd", "sshd-session", "sshd-auth", "ssh-keygen", "ssh-keysign"),
		.lineages = LIST(PACKAGE_MANAGERS),
	},
	{
		.name = "cloud_credentials",
		.what = "cloud credentials",
		.severity = "high",
		.score = 0.8,
		.techniques = LIST("T1552.001"),
		.paths =
			LIST(HOME(".aws/credentials"), HOME(".config/gcloud/credentials.db"),
			     HOME(".config/gcloud/access_tokens.db"),
			     HOME(".config/gcloud/application_default_credentials.json"),
			     HOME(".config/gcloud/legacy_credentials/*/adc.json"),
			     HOME(".azure/accessTokens.json"), HOME(".azure/msal_token_cache.json"),
			     HOME(".azure/msal_token_cache.bin"),
			     HOME(".azure/service_principal_entries.json")),
		.readers = LIST(CLOUD_READERS),
		.lineages = LIST(),
	},
	{
		.name = "kube_config",
		.what = "the credentials of a Kubernetes client",
		.severity = "high",
		.score = 0.8,
		.techniques = LIST("T1552.001"),
		.paths = LIST(HOME(".kube/config"), "/etc/kubernetes/admin.conf",
			      "/etc/kubernetes/super-admin.conf", "/etc/kubernetes/kubelet.conf",
			      "/etc/kubernetes/controller-manager.conf",
			      "/etc/kubernetes/scheduler.conf", "/etc/rancher/k3s/k3s.yaml"),
		.readers = LIST(KUBE_READERS),
		.lineages = LIST(),
	},
	{
		.name = "registry_credentials",
		.what = "the credentials of a container registry",
		.severity = "medium",
		.score = 0.6,
		.techniques = LIST("T1552.001"),
		.paths = LIST(HOME(".docker/config.json")),
		.readers = LIST(IMAGE_READERS),
		.lineages = LIST(),
	},
};

#define SECRETS (sizeof(secrets) / sizeof(secrets[0]))

/* What the agents must report: the test walks the table and finds each one here. */
const char *const secret_open_names[] = {
	"environ",
	"token",
	"shadow",
	"shadow-",
	"gshadow",
	"gshadow-",
	"id_rsa",
	"id_dsa",
	"id_ecdsa",
	"id_ed25519",
	"id_ecdsa_sk",
	"id_ed25519_sk",
	"identity",
	"ssh_host_rsa_key",
	"ssh_host_ecdsa_key",
	"ssh_host_ed25519_key",
	"ssh_host_dsa_key",
	"credentials",
	"credentials.db",
	"access_tokens.db",
	"application_default_credentials.json",
	"adc.json",
	"accessTokens.json",
	"msal_token_cache.json",
	"msal_token_cache.bin",
	"service_principal_entries.json",
	"config",
	"config.json",
	"admin.conf",
	"super-admin.conf",
	"kubelet.conf",
	"controller-manager.conf",
	"scheduler.conf",
	"k3s.yaml",
	NULL,
};

/* '*' matches one whole component: all that the table needs. */
static bool matches(const char *pattern, const char *path)
{
	while (*pattern) {
		if (*pattern == '*') {
			size_t len = strcspn(path, "/");

			if (len == 0)
				return false;
			path += len;
			pattern++;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}

/* "**" and a tail: the tail may begin at any slash. */
static bool matches_tail(const char *tail, const char *path)
{
	for (const char *at = strchr(path, '/'); at; at = strchr(at + 1, '/'))
		if (matches(tail, at))
			return true;
	return false;
}

static bool is_named(const struct secret *secret, const char *path)
{
	for (const char *const *p = secret->paths; *p; p++) {
		bool tail = (*p)[0] == '*' && (*p)[1] == '*';

		if (tail ? matches_tail(*p + 2, path) : matches(*p, path))
			return true;
	}
	return false;
}

const struct secret *secret_of(const char *path)
{
	for (size_t i = 0; i < SECRETS; i++)
		if (is_named(&secrets[i], path))
			return &secrets[i];
	return NULL;
}

size_t secret_index(const struct secret *secret)
{
	return (size_t)(secret - secrets);
}

int secret_in(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return 1;
	return 0;
}
