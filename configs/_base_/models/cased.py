# DenseCaSED, arXiv 2404.10864 (configs/model/dense_cased.yaml of the repository). The published captions are a part of
# PMD; any file of captions will do: `mmseg-weak index cased CONFIG --captions FILE`.
captions = '{{$MMSEG_WEAK_DATA:data}}/captions/pmd.txt'
model = dict(
    type='CaSED',
    mode='dense',
    index='work_dirs/cased/captions.safetensors',
    clip=dict(
        type='OpenCLIP',
        name='ViT-L-14',
        pretrained='openai',
        attention='vanilla',
        positions='size',
        templates='name',  # the word alone; a data set's prompts make UpperCaSED
        cache_dir=None),
    count=10,
    duplicate_thr=0.94,
    alpha=0.7,
    test_cfg=dict(grids=(2, 4, 8), shifted=True, crop_px=128, cells=16))
