/** A pod typical of training jobs: about 6 KB once the API server has filled in its defaults. */
import type { V1PodSpec } from '@kubernetes/client-node';

export function trainingPodSpec(gpus: number): V1PodSpec {
  const amounts = { cpu: String(gpus * 4), memory: `${gpus * 16}Gi`, 'nvidia.com/gpu': String(gpus) };
  const settings: Readonly<Record<string, string>> = {
    NCCL_DEBUG: 'WARN',
    NCCL_IB_HCA: '=mlx5_0,mlx5_1,mlx5_2,mlx5_3,mlx5_4,mlx5_5,mlx5_6,mlx5_7',
    NCCL_SOCKET_IFNAME: 'eth0',
    NCCL_ASYNC_ERROR_HANDLING: '1',
    CUDA_DEVICE_MAX_CONNECTIONS: '1',
    PYTORCH_CUDA_ALLOC_CONF: 'expandable_segments:True',
    TOKENIZERS_PARALLELISM: 'false',
    OMP_NUM_THREADS: '8',
    MASTER_ADDR: 'pretrain-7b-worker-0.pretrain-7b.default.svc.cluster.local',
    MASTER_PORT: '29500',
    WORLD_SIZE: '512',
    HF_HOME: '/cache/huggingface',
    WANDB_PROJECT: 'pretrain-7b',
    CHECKPOINT_URI: 's3://training-checkpoints/pretrain-7b/run-2026-11-02',
  };
  return {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 1,
    tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }],
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/arch', operator: 'In', values: ['amd64', 'arm64'] }] },
          ],
        },
      },
    },
    initContainers: [
      {
        name: 'wait-for-fabric',
        image: 'registry.example.com/ml/fabric-check:2.4.1',
        command: ['/bin/sh', '-c', 'until fabric-check --all-links --timeout=10s; do echo "links down"; sleep 5; done'],
        resources: { requests: { cpu: '100m', memory: '64Mi' } },
      },
    ],
    containers: [
      {
        name: 'trainer',
        image:
          'registry.example.com/ml/pretrain:25.10-py3@sha256:3f29c7d1a8b5e0426f9d13c0b7ae85f24d6c1b90e7a3582f6d4b19c0ea7d5312',
        command: ['torchrun'],
        args: [
          ...['--nnodes=64', '--nproc-per-node=8', '--rdzv-backend=c10d', '--rdzv-endpoint=$(MASTER_ADDR):29500'],
          ...['train.py', '--config=/config/pretrain-7b.yaml', '--seq-length=8192', '--micro-batch-size=2'],
          ...['--tensor-parallel=8', '--pipeline-parallel=4', '--save-interval=500', '--resume=auto'],
        ],
        env: [
          ...Object.entries(settings).map(([name, value]) => ({ name, value })),
          { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
          { name: 'WANDB_API_KEY', valueFrom: { secretKeyRef: { name: 'wandb', key: 'api-key' } } },
        ],
        ports: [{ name: 'metrics', containerPort: 9400 }],
        resources: { requests: amounts, limits: amounts },
        volumeMounts: [
          { name: 'shm', mountPath: '/dev/shm' },
          { name: 'config', mountPath: '/config', readOnly: true },
          { name: 'cache', mountPath: '/cache' },
        ],
        livenessProbe: { httpGet: { path: '/healthz', port: 'metrics' }, initialDelaySeconds: 600, periodSeconds: 30 },
        securityContext: { capabilities: { add: ['IPC_LOCK'] } },
      },
      {
        name: 'checkpoint-uploader',
        image: 'registry.example.com/ml/checkpoint-uploader:1.8.0',
        args: [
          ...['--source=/cache/checkpoints', '--target=$(CHECKPOINT_URI)', '--keep-local=2', '--parallel=8'],
          ...['--metrics-address=:9401', '--done-marker=/cache/checkpoints/_done'],
        ],
        env: [
          { name: 'CHECKPOINT_URI', value: settings.CHECKPOINT_URI! },
          { name: 'AWS_REGION', value: 'eu-central-1' },
          { name: 'AWS_ROLE_ARN', value: 'arn:aws:iam::123456789012:role/training-checkpoints' },
          { name: 'AWS_WEB_IDENTITY_TOKEN_FILE', value: '/var/run/secrets/tokens/aws' },
        ],
        ports: [{ name: 'upload-metrics', containerPort: 9401 }],
        resources: { requests: { cpu: '500m', memory: '1Gi' }, limits: { memory: '2Gi' } },
        volumeMounts: [
          { name: 'cache', mountPath: '/cache' },
          { name: 'tokens', mountPath: '/var/run/secrets/tokens', readOnly: true },
        ],
        readinessProbe: { httpGet: { path: '/readyz', port: 'upload-metrics' }, periodSeconds: 10 },
        securityContext: { allowPrivilegeEscalation: false, runAsNonRoot: true, runAsUser: 1000 },
      },
    ],
    volumes: [
      {
        name: 'tokens',
        projected: {
          sources: [
            { secret: { name: 'storage-credentials', items: [{ key: 'token', path: 'aws' }] } },
            { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
          ],
        },
      },
      { name: 'shm', emptyDir: { medium: 'Memory', sizeLimit: '64Gi' } },
      { name: 'config', configMap: { name: 'pretrain-7b' } },
      { name: 'cache', emptyDir: {} },
    ],
  };
}
